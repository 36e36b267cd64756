//! Which requests go wrong, and how: a pure function of a seed and of what is asked.

use std::time::Duration;

use crate::proxy::{Asked, Fault};

/// Numbers that only look random (splitmix64).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
}

/// One request in four goes wrong.
pub(crate) fn storage_faults(mut state: u64, request_max: Duration) -> impl FnMut(&Asked) -> Option<Fault> + Send {
    move |_| match draw(&mut state) % 28 {
        0 => Some(Fault::Refused(500)),
        1 => Some(Fault::Refused(503)),
        2 | 3 => Some(Fault::Applied(500)),
        4 => Some(Fault::CutBefore),
        5 => Some(Fault::CutAfter),
        6 => Some(Fault::Slow(if draw(&mut state).is_multiple_of(4) { request_max * 2 } else { request_max / 5 })),
        _ => None,
    }
}

/// One request in three goes wrong; of commits every second, also with storms of 409.
pub(crate) fn catalog_faults(mut state: u64, request_max: Duration) -> impl FnMut(&Asked) -> Option<Fault> + Send {
    let mut storm = 0;
    move |asked| {
        let is_commit =
            asked.method == "POST" && asked.path.rsplit_once("/tables/").is_some_and(|(_, name)| name.starts_with("events"));
        if is_commit && storm > 0 {
            storm -= 1;
            return Some(Fault::Refused(409));
        }
        match draw(&mut state) % if is_commit { 18 } else { 21 } {
            0 => Some(Fault::Refused(500)),
            1 => Some(Fault::Refused(503)),
            2 => Some(Fault::Applied(500)),
            3 => Some(Fault::Applied(503)),
            4 => Some(Fault::CutBefore),
            5 => Some(Fault::CutAfter),
            6 => Some(Fault::Slow(if draw(&mut state).is_multiple_of(3) { request_max * 2 } else { request_max / 5 })),
            7 if is_commit => Some(Fault::Applied(409)),
            8 if is_commit => {
                storm = draw(&mut state) % 4;
                Some(Fault::Refused(409))
            }
            _ => None,
        }
    }
}
