//! Random ratios of the sets of [`super::track`], and what plain counts make of them.

use watershed_schema::proto;

use super::event::Event;
use super::random::Random;
use super::track::text;

const FILTER: &str = "json_get(properties, 'p') = 'x'";

pub(crate) fn random_request(random: &mut Random) -> proto::RatioRequest {
    let filters =
        |random: &mut Random| random.pick(&[None, None, Some(FILTER)]).map(str::to_owned).into_iter().collect::<Vec<_>>();
    let mut step = |names: &[&str]| Some(proto::EventStep { event: random.pick(names).to_owned(), filters: filters(random) });
    let (a, b) = (step(&["a", "b"]), step(&["a", "b", "nothing"]));
    proto::RatioRequest { a, b, filters: filters(random), ..Default::default() }
}

/// Both counts and their ratio.
pub(crate) fn expected(events: &[Event], request: &proto::RatioRequest) -> (u64, u64, f64) {
    let passes = |filters: &[String], event: &Event| filters.is_empty() || text(event, "p").as_deref() == Some("x");
    let count = |step: &Option<proto::EventStep>| {
        let step = step.as_ref().expect("set");
        let is = |event: &&Event| event.name == step.event && passes(&step.filters, event) && passes(&request.filters, event);
        events.iter().filter(is).count() as u64
    };
    let (a, b) = (count(&request.a), count(&request.b));
    (a, b, if b == 0 { 0.0 } else { a as f64 / b as f64 })
}
