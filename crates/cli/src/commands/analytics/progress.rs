//! How far an answer is, for who waits at a terminal.

use std::io::IsTerminal as _;

use watershed_client::Progress;

use crate::out;

/// An answer that comes sooner needs no words.
const AFTER_MS: u64 = 1_000;

/// Says it on a terminal.
pub(crate) fn say(progress: &Progress) {
    if std::io::stderr().is_terminal() && progress.elapsed_ms >= AFTER_MS {
        out::say(&told(progress));
    }
}

fn told(progress: &Progress) -> String {
    let Progress { hot_events, hot_events_planned, lake_files, lake_files_planned, lake_events, lake_events_planned, .. } =
        progress;
    let (read, planned) = (hot_events + lake_events, hot_events_planned + lake_events_planned);
    let percent = (100 * read).checked_div(planned).unwrap_or_default().min(100);
    let seconds = progress.elapsed_ms / 1_000;
    format!("{percent} %: {read} of {planned} events, {lake_files} of {lake_files_planned} files, after {seconds} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_told_of_what_is_to_be_read() {
        let nothing = Progress { elapsed_ms: 2_400, ..Progress::default() };
        assert_eq!(told(&nothing), "0 %: 0 of 0 events, 0 of 0 files, after 2 s");
        let half = Progress {
            hot_events: 10,
            hot_events_planned: 10,
            lake_files: 1,
            lake_files_planned: 3,
            lake_events: 20,
            lake_events_planned: 50,
            elapsed_ms: 61_000,
        };
        assert_eq!(told(&half), "50 %: 30 of 60 events, 1 of 3 files, after 61 s");
    }
}
