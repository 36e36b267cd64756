//! The semantics, taken by their word and as slowly as they read.
//!
//! Funnel: every attempt there is. An attempt is events of one actor in order of time (ties by shard and seq), the first
//! satisfies step 1, the next step 2 and so on. Of the attempts with the most steps, the times are those of the one that
//! is complete first; of those with a window from the first step the one that began last and went on as soon as it could, of
//! those with a window from step to step the one whose steps lie as late as they can, looked at from its end.

use std::cmp::Reverse;

use super::event::Event;

/// What an event satisfies: one flag a step.
pub(crate) type Satisfies<'a> = &'a dyn Fn(&Event) -> Vec<bool>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) within_us: i64,
    pub(crate) from_step: bool,
    pub(crate) mode: &'static str,
}

/// The times of the actor's best attempt and its first event. `events` are one actor's, each with its seq.
pub(crate) fn best(events: &[(Event, u64)], rules: Rules, satisfies: Satisfies<'_>) -> Option<(Vec<i64>, Event)> {
    let mut ordered: Vec<&(Event, u64)> = events.iter().collect();
    ordered.sort_by_key(|(event, seq)| (event.at_us, event.shard, *seq));
    let events: Vec<&Event> = ordered.into_iter().map(|(event, _)| event).collect();
    let flags: Vec<Vec<bool>> = events.iter().map(|event| satisfies(event)).collect();
    let mut attempts = Vec::new();
    for start in 0..events.len() {
        if flags[start][0] {
            continued(&mut vec![start], &events, &flags, rules, &mut attempts);
        }
    }
    let most = attempts.iter().map(Vec::len).max()?;
    attempts.retain(|attempt| attempt.len() == most);
    let complete = attempts.iter().filter_map(|attempt| attempt.last().copied()).min()?;
    attempts.retain(|attempt| attempt.last() == Some(&complete));
    let chosen = if rules.from_step {
        attempts.into_iter().max_by_key(|attempt| attempt.iter().rev().copied().collect::<Vec<_>>())
    } else {
        attempts.into_iter().min_by_key(|attempt| (Reverse(attempt[0]), attempt.clone()))
    }?;
    let first = events[chosen[0]].clone();
    Some((chosen.into_iter().map(|index| events[index].at_us).collect(), first))
}

fn continued(attempt: &mut Vec<usize>, events: &[&Event], flags: &[Vec<bool>], rules: Rules, all: &mut Vec<Vec<usize>>) {
    all.push(attempt.clone());
    let (first, last, step) = (attempt[0], attempt[attempt.len() - 1], attempt.len());
    if step == flags[0].len() {
        return;
    }
    for next in last + 1..events.len() {
        let since = events[if rules.from_step { last } else { first }].at_us;
        let fits = match rules.mode {
            "strict_order" => next == last + 1,
            "strict_increase" => events[next].at_us > events[last].at_us,
            _ => true,
        };
        if fits && flags[next][step] && events[next].at_us - since <= rules.within_us {
            attempt.push(next);
            continued(attempt, events, flags, rules, all);
            attempt.pop();
        }
    }
}

/// Interpolated between the two nearest.
pub(crate) fn percentile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let place = part * (values.len().checked_sub(1)? as f64);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(values[below] + (values[above] - values[below]) * (place - place.floor()))
}
