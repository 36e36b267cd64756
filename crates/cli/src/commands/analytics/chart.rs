//! Charts of characters.

use std::fmt::Write as _;

const BAR_WIDTH: usize = 40;
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// A text of somebody else without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one }).collect()
}

/// A bar of `share` (0 to 1) of the width.
pub(crate) fn bar(share: f64) -> String {
    let eighths = index(share.clamp(0.0, 1.0) * (BAR_WIDTH * 8) as f64);
    let mut text = "█".repeat(eighths / 8);
    text.extend((eighths % 8).checked_sub(1).map(|rest| EIGHTHS[rest]));
    text
}

/// One bar for each name; the longest is the greatest value's.
pub(crate) fn bars(rows: &[(String, Option<f64>)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let top = rows.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max);
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let share = if top > 0.0 { value.unwrap_or(0.0) / top } else { 0.0 };
        let gap = if width > 0 { " " } else { "" };
        writeln!(text, "{name:width$}{gap}{} {}", bar(share), number(*value)).expect("invariant: a String takes every write");
        text
    })
}

/// One character for each value, from 0 to `top`; a gap where there is none.
pub(crate) fn sparkline(values: &[Option<f64>], top: f64) -> String {
    let level = |value: &Option<f64>| match value {
        None => ' ',
        Some(value) if top > 0.0 => LEVELS[index((value / top).clamp(0.0, 1.0) * 7.0 + 0.5).min(7)],
        Some(_) => LEVELS[0],
    };
    values.iter().map(level).collect()
}

/// Least and greatest, in words.
pub(crate) fn ends(values: &[Option<f64>]) -> (String, String) {
    let known = || values.iter().flatten().copied();
    (number(known().reduce(f64::min)), number(known().reduce(f64::max)))
}

/// How dark a share (0 to 1) is.
pub(crate) fn shade(share: f64) -> char {
    SHADES[index((share.clamp(0.0, 1.0) * 4.0).ceil()).min(4)]
}

pub(crate) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A time in the unit that people would use.
pub(crate) fn duration(ms: f64) -> String {
    match ms {
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 120_000.0 => format!("{:.1} s", ms / 1_000.0),
        ms if ms < 7_200_000.0 => format!("{:.1} min", ms / 60_000.0),
        ms if ms < 172_800_000.0 => format!("{:.1} h", ms / 3_600_000.0),
        ms => format!("{:.1} d", ms / 86_400_000.0),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative: shares are clamped")]
fn index(value: f64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        assert_eq!((bar(0.0), bar(1.0), bar(2.0)), (String::new(), "█".repeat(40), "█".repeat(40)));
        assert_eq!(bar(1.0 / 80.0), "▌");
        let text = bars(&[("pro".to_owned(), Some(4.0)), ("free".to_owned(), Some(2.0)), ("x".to_owned(), None)]);
        assert_eq!(text, format!("pro  {} 4\nfree {} 2\nx     -\n", "█".repeat(40), "█".repeat(20)));
    }

    #[test]
    fn sparklines_and_shades() {
        assert_eq!(sparkline(&[Some(0.0), Some(5.0), None, Some(10.0)], 10.0), "▁▅ █");
        assert_eq!(sparkline(&[Some(0.0)], 0.0), "▁");
        assert_eq!([0.0, 0.01, 0.5, 1.0].map(shade), [' ', '░', '▒', '█']);
        assert_eq!(plain("a\u{1b}[31m"), "a\u{fffd}[31m");
        assert_eq!(
            (duration(20.0), duration(90_000.0), duration(3_600_000.0)),
            ("20 ms".into(), "90.0 s".into(), "60.0 min".into())
        );
    }
}
