//! Questions of analytics, put together step by step; the answer comes with `.await`.
//!
//! ```no_run
//! # async fn run(client: watershed_client::Client) -> Result<(), watershed_client::Error> {
//! let signups = client.track("Signup").count().since("7d").by("properties.plan").await?;
//! for point in signups.points {
//!     println!("{}: {}", point.group.unwrap_or_default(), point.value.unwrap_or_default());
//! }
//! let funnel = client.funnel("1h").step("Signup").step("Activation").step("Purchase").since("30d").await?;
//! let cohorts = client.cohort("Signup", "Login").weeks(8).since("60d").await?;
//! let ratio = client.ratio("Purchase", "Signup").since("7d").await?;
//! # drop((funnel, cohorts, ratio));
//! # Ok(())
//! # }
//! ```

mod watch;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use watershed_schema::proto;
use watershed_schema::proto::analytics_request::Question;
use watershed_schema::proto::analytics_response::Said;

use crate::Error;
use crate::client::{Client, Service};
use crate::services::analytics_service_client::AnalyticsServiceClient;
use watch::Watch;

/// An answer on its way.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

type Analytics = AnalyticsServiceClient<Service>;

/// One aggregate over events of a name: [`Client::track`].
#[must_use = "a question is asked when it is awaited"]
#[derive(Clone, Debug)]
pub struct Track {
    service: Analytics,
    request: proto::TrackRequest,
    watch: Option<Watch>,
}

/// How far actors get: [`Client::funnel`].
#[must_use = "a question is asked when it is awaited"]
#[derive(Clone, Debug)]
pub struct Funnel {
    service: Analytics,
    request: proto::FunnelRequest,
    watch: Option<Watch>,
}

/// Who comes back: [`Client::cohort`].
#[must_use = "a question is asked when it is awaited"]
#[derive(Clone, Debug)]
pub struct Cohort {
    service: Analytics,
    request: proto::CohortRequest,
    watch: Option<Watch>,
}

/// Events of one kind for each of another: [`Client::ratio`].
#[must_use = "a question is asked when it is awaited"]
#[derive(Clone, Debug)]
pub struct Ratio {
    service: Analytics,
    request: proto::RatioRequest,
    watch: Option<Watch>,
}

fn step(event: &str, filters: &[&str]) -> proto::EventStep {
    proto::EventStep { event: event.to_owned(), filters: filters.iter().map(|filter| (*filter).to_owned()).collect() }
}

impl Client {
    /// Counts events of a name (empty: all), or takes another aggregate of them.
    pub fn track(&self, event: &str) -> Track {
        let request = proto::TrackRequest { event: event.to_owned(), ..Default::default() };
        Track { service: self.analytics_service(), request, watch: None }
    }

    /// How many actors take some steps in order; `within` is a duration such as `1h`.
    pub fn funnel(&self, within: &str) -> Funnel {
        let request = proto::FunnelRequest { within: within.to_owned(), ..Default::default() };
        Funnel { service: self.analytics_service(), request, watch: None }
    }

    /// How many of those who began with `anchor` come back for `activity`; eight weeks unless told otherwise.
    pub fn cohort(&self, anchor: &str, activity: &str) -> Cohort {
        let request = proto::CohortRequest {
            anchor: Some(step(anchor, &[])),
            activity: Some(step(activity, &[])),
            periods: 8,
            ..Default::default()
        };
        Cohort { service: self.analytics_service(), request, watch: None }
    }

    /// Events named `a` for each named `b`.
    pub fn ratio(&self, a: &str, b: &str) -> Ratio {
        let request = proto::RatioRequest { a: Some(step(a, &[])), b: Some(step(b, &[])), ..Default::default() };
        Ratio { service: self.analytics_service(), request, watch: None }
    }
}

/// What every question can be narrowed by.
macro_rules! narrowed {
    ($question:ident, $request:ident, $response:ident, $call:ident) => {
        impl $question {
            /// A condition in SQL that all events fulfil, as behind `WHERE`; several must all hold.
            pub fn filter(mut self, condition: &str) -> Self {
                self.request.filters.push(condition.to_owned());
                self
            }

            /// This long ago until now, for example `7d`.
            pub fn since(mut self, duration: &str) -> Self {
                self.request.since = duration.to_owned();
                self
            }

            /// Between two times in RFC 3339, both inclusive; an empty one is no bound.
            pub fn between(mut self, from: &str, to: &str) -> Self {
                (self.request.from, self.request.to) = (from.to_owned(), to.to_owned());
                self
            }

            /// Calls `watch` with how far it is, every half a second until the answer is there.
            pub fn on_progress(mut self, watch: impl Fn(&proto::Progress) + Send + Sync + 'static) -> Self {
                self.watch = Some(Watch(Arc::new(watch)));
                self
            }

            /// Asks what is written down already.
            pub fn with_request(mut self, request: proto::$request) -> Self {
                self.request = request;
                self
            }
        }

        impl IntoFuture for $question {
            type Output = Result<proto::$response, Error>;
            type IntoFuture = Answer<proto::$response>;

            fn into_future(mut self) -> Self::IntoFuture {
                Box::pin(async move {
                    let Some(watch) = self.watch else { return Ok(self.service.$call(self.request).await?.into_inner()) };
                    match watch.answer(self.service, Question::$question(self.request)).await? {
                        Said::$question(answer) => Ok(answer),
                        _ => Err(Error::Protocol("an answer to another question")),
                    }
                })
            }
        }
    };
}

narrowed!(Track, TrackRequest, TrackResponse, track);
narrowed!(Funnel, FunnelRequest, FunnelResponse, funnel);
narrowed!(Cohort, CohortRequest, CohortResponse, cohort);
narrowed!(Ratio, RatioRequest, RatioResponse, ratio);

impl Track {
    fn aggregate(mut self, aggregate: &str, field: &str) -> Self {
        (self.request.aggregate, self.request.field) = (aggregate.to_owned(), field.to_owned());
        self
    }

    /// How many.
    pub fn count(self) -> Self {
        self.aggregate("count", "")
    }

    /// Sum of a field's numbers.
    pub fn sum(self, field: &str) -> Self {
        self.aggregate("sum", field)
    }

    /// Average of a field's numbers; what is missing or no number does not count.
    pub fn avg(self, field: &str) -> Self {
        self.aggregate("avg", field)
    }

    /// Smallest number of a field.
    pub fn min(self, field: &str) -> Self {
        self.aggregate("min", field)
    }

    /// Largest number of a field.
    pub fn max(self, field: &str) -> Self {
        self.aggregate("max", field)
    }

    /// How many different values a field has.
    pub fn count_distinct(self, field: &str) -> Self {
        self.aggregate("count_distinct", field)
    }

    /// The number below which the part `q` (0 to 1) of a field's numbers lies.
    pub fn percentile(mut self, field: &str, q: f64) -> Self {
        self.request.q = q;
        self.aggregate("percentile", field)
    }

    /// One value for each value of a field.
    pub fn by(mut self, field: &str) -> Self {
        self.request.by = field.to_owned();
        self
    }

    /// One value for each `minute`, `hour`, `day`, `week` or `month`.
    pub fn every(mut self, bucket: &str) -> Self {
        self.request.every = bucket.to_owned();
        self
    }
}

impl Funnel {
    /// The next step.
    pub fn step(self, event: &str) -> Self {
        self.step_where(event, &[])
    }

    /// The next step, with conditions in SQL.
    pub fn step_where(mut self, event: &str, filters: &[&str]) -> Self {
        self.request.steps.push(step(event, filters));
        self
    }

    /// The time is measured from each step to the next, not from the first.
    pub fn from_step_to_step(mut self) -> Self {
        "step".clone_into(&mut self.request.window);
        self
    }

    /// `ordered`, `strict_order` or `strict_increase`.
    pub fn mode(mut self, mode: &str) -> Self {
        mode.clone_into(&mut self.request.mode);
        self
    }

    /// Whose way it is: `session`, `trace` or a field.
    pub fn actor(mut self, actor: &str) -> Self {
        actor.clone_into(&mut self.request.actor);
        self
    }

    /// One funnel for each value that the events of the first step have.
    pub fn by(mut self, field: &str) -> Self {
        field.clone_into(&mut self.request.by);
        self
    }
}

impl Cohort {
    fn periods(mut self, granularity: &str, periods: u32) -> Self {
        granularity.clone_into(&mut self.request.granularity);
        self.request.periods = periods;
        self
    }

    /// By day, so many of them.
    pub fn days(self, periods: u32) -> Self {
        self.periods("day", periods)
    }

    /// By week, so many of them.
    pub fn weeks(self, periods: u32) -> Self {
        self.periods("week", periods)
    }

    /// By month, so many of them.
    pub fn months(self, periods: u32) -> Self {
        self.periods("month", periods)
    }

    /// Measured from each actor's own anchor.
    pub fn rolling(mut self) -> Self {
        self.request.rolling = true;
        self
    }

    /// Who is an actor: `session`, `trace` or a field.
    pub fn actor(mut self, actor: &str) -> Self {
        actor.clone_into(&mut self.request.actor);
        self
    }
}
