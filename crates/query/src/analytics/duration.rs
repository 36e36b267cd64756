//! Durations as people write them: an integer and s, m, h, d, w, M (30 days) or y (365 days).

/// Microseconds; `None` when it is none, or longer than 300 years.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let unit = text.chars().next_back()?;
    let digits = &text[..text.len() - unit.len_utf8()];
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        'M' => 30 * 86_400,
        'y' => 365 * 86_400,
        _ => return None,
    };
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: i64 = if is_plain { digits.parse().ok()? } else { return None };
    count.checked_mul(seconds)?.checked_mul(1_000_000).filter(|long| *long <= 300 * 365 * 86_400 * 1_000_000)
}

/// What a duration looks like, for messages.
pub(crate) const FORM: &str = "an integer and s, m, h, d, w, M (30 days) or y (365 days), for example 7d; at most 300y";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_nonsense() {
        let seconds = |text| parse(text).map(|us| us / 1_000_000);
        assert_eq!((seconds("7d"), seconds("12h"), seconds("90s")), (Some(604_800), Some(43_200), Some(90)));
        assert_eq!(
            (seconds("2M"), seconds("1y"), seconds("3m"), seconds("1w")),
            (Some(5_184_000), Some(31_536_000), Some(180), Some(604_800))
        );
        for wrong in ["", "d", "7", "-1d", "+1d", "1.5h", "7 d", "7D", "301y", "99999999999999999999s", "7ü"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
