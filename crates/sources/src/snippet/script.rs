//! The script that pages load, as it is served.

/// `GET /snippet.js`: the source without comment lines and without blanks that JavaScript does not need.
pub const SCRIPT: &str = {
    const BYTES: [u8; LENGTH] = bytes();
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("the script is UTF-8"),
    }
};

const SOURCE: &[u8] = include_bytes!("../../snippet/snippet.js");
const LENGTH: usize = copy(&mut [0; SOURCE.len()]);

const fn bytes() -> [u8; LENGTH] {
    let mut all = [0; SOURCE.len()];
    copy(&mut all);
    let (mut served, mut at) = ([0; LENGTH], 0);
    while at < LENGTH {
        served[at] = all[at];
        at += 1;
    }
    served
}

/// Copies what is served; returns its length. A text runs from a quote to the next: the source has no others inside.
const fn copy(into: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    let mut quote = 0;
    while from < SOURCE.len() {
        let here = SOURCE[from];
        let before = if to == 0 { b'\n' } else { into[to - 1] };
        if quote == 0 && here == b'/' && SOURCE[from + 1] == b'/' && before == b'\n' {
            from = line_end(from);
            continue;
        }
        if quote == 0 && is_needless(before, here, from + 1) {
            from += 1;
            continue;
        }
        quote = quote_after(quote, here);
        into[to] = here;
        (from, to) = (from + 1, to + 1);
    }
    to
}

const fn quote_after(quote: u8, here: u8) -> u8 {
    match here {
        b'"' | b'\'' | b'`' if quote == 0 => here,
        _ if here == quote => 0,
        _ => quote,
    }
}

/// A blank between two words is needed, a line feed ends a statement unless a bracket or a comma says that it goes on.
const fn is_needless(before: u8, here: u8, next: usize) -> bool {
    let after = if next < SOURCE.len() { SOURCE[next] } else { b'\n' };
    match here {
        b' ' => !(is_word(before) && is_word(after)),
        b'\n' => matches!(before, b'{' | b'(' | b'[' | b',' | b'\n') || matches!(first_of_next_line(next), b'}' | b')' | b']'),
        _ => false,
    }
}

const fn first_of_next_line(mut at: usize) -> u8 {
    while at < SOURCE.len() && SOURCE[at] == b' ' {
        at += 1;
    }
    if at < SOURCE.len() { SOURCE[at] } else { b'\n' }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

const fn line_end(mut at: usize) -> usize {
    while SOURCE[at] != b'\n' {
        at += 1;
    }
    at
}
