//! The functions in any query.

use arrow::array::RecordBatch;
use watershed_query::ErrorKind;

use crate::world::{DAY0_US, Event, HOUR_US, LIMITS, World, event, world};

fn table(rows: &[RecordBatch]) -> String {
    let text = arrow::util::pretty::pretty_format_batches(rows).expect("prints").to_string();
    let lines = text.lines().skip(3).filter(|line| !line.starts_with('+'));
    lines
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
}

async fn asked(world: &World, sql: &str) -> String {
    table(&world.sql("shop", sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

async fn shop() -> World {
    let world = world(LIMITS).await;
    let with = |at, name: &str, actor: &str, json: &str| Event { properties: Some(json.to_owned()), ..event(at, name, actor) };
    world.push(
        "shop",
        &[
            with(DAY0_US, "Signup", "A", r#"{"plan":"pro","price":12345678901234567890.5,"deep":{"x":[1,2]}}"#),
            with(DAY0_US + HOUR_US, "Paid", "A", r#"{"plan":"pro"}"#),
            with(DAY0_US, "Signup", "B", "{}"),
            event(DAY0_US + 25 * HOUR_US, "Paid", "B"),
        ],
    );
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn scalars() {
    let world = shop().await;
    for part in [0.0, 0.5, 1.0] {
        world.archive(part).await;
        let sql = "SELECT json_get(properties, 'price') v FROM events WHERE json_get(properties, 'deep.x.1') = '2'";
        assert_eq!(asked(&world, sql).await, "12345678901234567890.5", "{part} archived");
        let sql = "SELECT time_bucket('day', timestamp) d, count(*) FROM events GROUP BY d ORDER BY d";
        assert_eq!(asked(&world, sql).await, "2026-03-04T00:00:00Z 3\n2026-03-05T00:00:00Z 1", "{part} archived");
        let sql = "SELECT DISTINCT time_bucket('week', timestamp) w, time_bucket('month', timestamp) m FROM events";
        assert_eq!(asked(&world, sql).await, "2026-03-02T00:00:00Z 2026-03-01T00:00:00Z", "{part} archived");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates() {
    let world = shop().await;
    let funnel =
        |words: &str| format!("window_funnel('{words}', timestamp, _shard, _seq, event_name = 'Signup', event_name = 'Paid')");
    for part in [0.0, 0.5, 1.0] {
        world.archive(part).await;
        let grouped = |words: &str| format!("SELECT actor_id, {} f FROM events GROUP BY actor_id ORDER BY 1", funnel(words));
        assert_eq!(asked(&world, &grouped("1h")).await, "A 2\nB 1", "{part} archived");
        assert_eq!(asked(&world, &grouped("25h strict_order step")).await, "A 2\nB 2", "{part} archived");
        assert_eq!(asked(&world, &format!("SELECT {} f FROM events WHERE actor_id = 'B'", funnel("2d"))).await, "2");
        assert_eq!(asked(&world, &format!("SELECT {} f FROM events WHERE actor_id = 'nobody'", funnel("2d"))).await, "0");
        assert_eq!(
            asked(&world, &format!("SELECT {} FILTER (WHERE event_name <> 'Paid') f FROM events", funnel("2d"))).await,
            "1"
        );
        let cohort = "SELECT r['cohort'] c, count(*), sum(CASE WHEN r['active'][2] THEN 1 ELSE 0 END) FROM (
            SELECT cohort_retention('day 3', timestamp, event_name = 'Signup', event_name = 'Paid') r FROM events GROUP BY actor_id
            ) GROUP BY 1";
        assert_eq!(asked(&world, cohort).await, "2026-03-04T00:00:00Z 2 1", "{part} archived");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_is_the_callers_and_named() {
    let world = shop().await;
    let cases = [
        ("SELECT time_bucket('year', timestamp) FROM events", "minute, hour, day, week, month"),
        ("SELECT window_funnel('soon', timestamp, _shard, _seq, true) FROM events", "duration"),
        ("SELECT window_funnel('1h backwards', timestamp, _shard, _seq, true) FROM events", "strict_order"),
        ("SELECT window_funnel('1h', timestamp, _shard, _seq) FROM events", "1 to 32 steps"),
        ("SELECT window_funnel(event_name, timestamp, _shard, _seq, true) FROM events", "constant"),
        ("SELECT cohort_retention('year 3', timestamp, true, true) FROM events", "day, week, month"),
        ("SELECT cohort_retention('day 999', timestamp, true, true) FROM events", "366"),
    ];
    for (sql, word) in cases {
        let error = world.sql("shop", sql).await.expect_err(sql);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{sql}: {error}");
        assert!(error.to_string().contains(word), "{sql}: {error}");
    }
}
