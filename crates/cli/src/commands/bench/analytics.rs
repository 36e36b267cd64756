//! A funnel and a count by day over many events in the lake.
//!
//! Events come in order of time, ten days of them, as they would have: that is how many files the lake has.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use watershed_client::{Client, CohortResponse, FunnelResponse, TrackResponse};
use watershed_schema::{BatchBuilder, Column, EventBatch, TenantId};

use super::{Subject, lake, percentile};
use crate::out::Failure;
use crate::procfs;

#[derive(Args, Clone)]
pub(super) struct Flags {
    /// Events to store first.
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Different actors in them.
    #[arg(long, default_value_t = 1_000_000)]
    actors: u64,
    /// Repetitions of each question.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
}

/// What a node needs that is asked such questions: memory for the events of a funnel, files that are worth opening, and room for
/// their footers (100 KB each).
pub(super) const SETTINGS: [&str; 5] =
    ["query_memory=2GiB", "query_deadline=10m", "archive_rows=500000", "archive_bytes=256MiB", "lake_cache=256MiB"];

const NAMES: [&str; 5] = ["Signup", "Activation", "Purchase", "Page Viewed", "Search"];
const BATCH: u64 = 5_000;
const DAYS: u64 = 10;
/// 2026-03-01 00:00, microseconds.
const BEGIN_US: u64 = 1_772_323_200_000_000;
const DAY_US: u64 = 86_400_000_000;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(subject: &Subject, flags: &Flags) -> Result<Value, Failure> {
    let client = subject.target.connect().await?;
    let began = Instant::now();
    fill(&client, flags).await?;
    let filled = began.elapsed().as_secs_f64();
    let lake = lake::weigh(subject, flags.events, Instant::now()).await?;
    let count = asked(subject, flags, async || {
        let answer: TrackResponse = client.track("Signup").every("day").await?;
        Ok(json!(answer.points.iter().filter_map(|point| point.value).sum::<f64>()))
    });
    let count = count.await?;
    let all = asked(subject, flags, async || {
        let answer: TrackResponse = client.track("").every("day").await?;
        Ok(json!(answer.points.iter().filter_map(|point| point.value).sum::<f64>()))
    });
    let all = all.await?;
    let funnel = asked(subject, flags, async || {
        let answer: FunnelResponse = client.funnel("1d").step(NAMES[0]).step(NAMES[1]).step(NAMES[2]).await?;
        Ok(json!(answer.groups[0].steps.iter().map(|step| step.actors).collect::<Vec<_>>()))
    });
    let funnel = funnel.await?;
    let cohort = asked(subject, flags, async || {
        let answer: CohortResponse = client.cohort(NAMES[0], NAMES[3]).days(7).await?;
        Ok(json!(answer.cohorts.iter().map(|cohort| cohort.actors).sum::<u64>()))
    });
    let cohort = cohort.await?;
    Ok(json!({
        "bench": "analytics", "events": flags.events, "actors": flags.actors, "events_in_lake": true, "settings_of_the_bench": SETTINGS,
        "filled_in_s": filled, "lake": lake,
        "count_of_one_name_by_day": count, "count_of_all_by_day": all, "funnel_of_3_steps": funnel, "cohort_of_7_days": cohort,
        "goals": { "funnel_cpu_s": 5.0, "count_by_day_cpu_s": 1.0 },
    }))
}

async fn fill(client: &Client, flags: &Flags) -> Result<(), Failure> {
    let Flags { events, actors, .. } = flags.clone();
    let batches =
        (0..events.div_ceil(BATCH)).map(move |index| batch(index * BATCH, ((index + 1) * BATCH).min(events), events, actors));
    let mut accepted = 0;
    for batch in batches {
        let batch = batch?;
        // A full byte budget is no failure: the node says when to come again.
        loop {
            match client.publish(batch.clone()).await {
                Ok(published) => break accepted += published.accepted,
                Err(error) if error.is_retryable() => tokio::time::sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }
    if accepted == events { Ok(()) } else { Err(Failure::refused(&format!("{accepted} of {events} were taken"))) }
}

/// Fixed numbers that look like chance.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn batch(from: u64, to: u64, events: u64, actors: u64) -> Result<EventBatch, Failure> {
    let mut builder = BatchBuilder::new(TenantId::default(), 1 << 20);
    for n in from..to {
        let (chance, at_us) = (mixed(n), BEGIN_US + n * (DAYS * DAY_US / events.max(1)));
        let name = NAMES[usize::try_from(mixed(chance) % 5).unwrap_or_default()];
        builder.row(None, |row| {
            row.str(Column::Id, &format!("{n:x}"));
            row.str(Column::EventType, "track");
            row.str(Column::EventName, name);
            row.int(Column::Timestamp, at_us.cast_signed());
            row.str(Column::ActorId, &format!("user-{:06}", chance % actors.max(1)));
            row.json(Column::Properties, if chance & 1024 == 0 { r#"{"plan":"free"}"# } else { r#"{"plan":"pro"}"# });
        });
    }
    Ok(builder.finish().context("a batch")?)
}

/// Wall and processor time of the node for each repetition; all answers must be the same.
async fn asked(
    subject: &Subject,
    flags: &Flags,
    ask: impl AsyncFn() -> Result<Value, watershed_client::Error>,
) -> Result<Value, Failure> {
    let (mut wall, mut cpu, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..flags.repeat.max(1) {
        let (began, before) = (Instant::now(), procfs::cpu_us(subject.pid));
        answers.push(ask().await?);
        wall.push(began.elapsed().as_secs_f64());
        cpu.extend(procfs::cpu_us(subject.pid).zip(before).map(|(after, before)| (after - before) as f64 / 1e6));
    }
    answers.dedup();
    let [answer] = &answers[..] else { return Err(Failure::refused("the same question had different answers")) };
    Ok(json!({
        "answer": answer, "wall_s": { "median": percentile(&mut wall, 0.5), "max": percentile(&mut wall, 1.0) },
        "node_cpu_s": { "median": percentile(&mut cpu, 0.5), "max": percentile(&mut cpu, 1.0) },
        "resident_bytes": procfs::resident_bytes(subject.pid),
    }))
}
