//! Card numbers in texts: 13 to 19 digits with a check digit (ISO/IEC 7812-1), in one or more groups.

use std::borrow::Cow;

const REPLACEMENT: &str = "[redacted]";

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;
/// Groups but the last have at least three digits, so that lists of small numbers are none.
const GROUP_MIN: usize = 3;

/// Whether there may be a card number: enough digits in a run of digits and separators. Looks at every 13th byte.
pub(super) fn may_be_in(bytes: &[u8]) -> bool {
    let mut last = DIGITS_MIN - 1;
    while last < bytes.len() {
        let fitting = bytes[last + 1 - DIGITS_MIN..=last].iter().rev().take_while(|byte| is_digit_or_separator(byte)).count();
        if fitting < DIGITS_MIN {
            last += DIGITS_MIN - fitting;
            continue;
        }
        let run = bytes[last + 1 - DIGITS_MIN..].iter().copied().take_while(is_digit_or_separator);
        let (mut length, mut digits) = (0, 0);
        for byte in run {
            length += 1;
            digits += usize::from(byte.is_ascii_digit() && (digits > 0 || byte >= b'2'));
        }
        if digits >= DIGITS_MIN {
            return true;
        }
        last += length;
    }
    false
}

fn is_digit_or_separator(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b' ' | b'-')
}

/// The text with card numbers written over.
pub(super) fn without_cards(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let Some(end) = card_end(bytes, at) else {
            at += 1;
            continue;
        };
        out.push_str(&text[copied..at]);
        out.push_str(REPLACEMENT);
        (copied, at) = (end, end);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Where the longest card number ends that begins at `start`.
fn card_end(bytes: &[u8], start: usize) -> Option<usize> {
    if !begins(bytes, start) {
        return None;
    }
    let (mut digits, mut group, mut at, mut end) = (Vec::with_capacity(DIGITS_MAX), 0, start, None);
    loop {
        let is_digit = |place: usize| bytes.get(place).is_some_and(u8::is_ascii_digit);
        if is_digit(at) && digits.len() < DIGITS_MAX {
            digits.push(bytes[at] - b'0');
            group += 1;
            at += 1;
            continue;
        }
        if ends(bytes, at) && digits.len() >= DIGITS_MIN && is_checked(&digits) {
            end = Some(at);
        }
        let goes_on = matches!(bytes.get(at), Some(b' ' | b'-')) && group >= GROUP_MIN && is_digit(at + 1);
        if !goes_on {
            return end;
        }
        group = 0;
        at += 1;
    }
}

/// Not inside a word or a number. Cards of banks begin with 2 to 9: with 1 begin times since 1970, until 2033.
fn begins(bytes: &[u8], start: usize) -> bool {
    let before = |distance| start.checked_sub(distance).map(|place| bytes[place]);
    let in_fraction = before(1) == Some(b'.') && before(2).is_some_and(|byte| byte.is_ascii_digit());
    matches!(bytes.get(start), Some(b'2'..=b'9')) && !before(1).is_some_and(is_word) && !in_fraction
}

fn ends(bytes: &[u8], end: usize) -> bool {
    let has_fraction = bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    !bytes.get(end).copied().is_some_and(is_word) && !has_fraction
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Luhn's check: from the right every second digit counts twice.
fn is_checked(digits: &[u8]) -> bool {
    let twice = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let weighed = digits.iter().rev().enumerate().map(|(place, digit)| if place % 2 == 1 { twice(*digit) } else { *digit });
    weighed.map(u32::from).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that card networks publish for tests.
    const CARDS: &[&str] = &[
        "4111111111111111",
        "4111 1111 1111 1111",
        "5555-5555-5555-4444",
        "3782 822463 10005",
        "6011111111111117",
        "4222222222222",
        "30569309025904",
        "6304000000000000000",
    ];

    #[test]
    fn card_numbers_are_written_over_wherever_they_stand() {
        for card in CARDS {
            for before in ["", "x", "1 - 1", "1234567", "A longer text before it, 12 - "] {
                assert!(may_be_in(format!("{before}{card}").as_bytes()), "{before}{card}");
            }
            for (before, after) in [("", ""), ("paid with ", "."), ("card=", "&x=1"), ("12 ", " 7"), ("(", ")"), ("ü", "ü")] {
                let text = format!("{before}{card}{after}");
                assert_eq!(without_cards(&text), format!("{before}[redacted]{after}"), "{text}");
            }
        }
        assert_eq!(without_cards("4111111111111111,5555-5555-5555-4444"), "[redacted],[redacted]");
    }

    #[test]
    fn times_and_ids_are_not_even_suspect() {
        for text in
            ["1790000000006", "1 - 1790000000000", "2026-09-21 14:13", "- - - - - - - - - - - - - - 1", "411111111111", ""]
        {
            assert!(!may_be_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "4111111111111112",
            "1790000000006",
            "a4111111111111111",
            "4111111111111111a",
            "0.4111111111111111",
            "4111111111111111.5",
            "41111111111111114111111111111111",
            "4111  1111  1111  1111",
            "41 11 11 11 11 11 11 11",
            "411111111111",
            "",
        ] {
            assert!(matches!(without_cards(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
