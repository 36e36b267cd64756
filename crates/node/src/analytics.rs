//! Questions of analytics, whichever it is, for the faces that spell them: the answer alone, or with how far it is.
//!
//! Who drops what comes of it ends the work, on this node and on those that it reads from.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use watershed_query::{Engine, Progress, QueryError};
use watershed_schema::TenantId;
pub(crate) use watershed_schema::proto::analytics_request::Question;
pub(crate) use watershed_schema::proto::analytics_response::Said;

use crate::clock::now_us;
use crate::refusal::Refusal;

/// How often it is said how far an answer is.
const NEWS: Duration = Duration::from_millis(500);

/// The answer.
pub(crate) async fn answered(engine: &Engine, tenant: &TenantId, question: &Question) -> Result<Said, Refusal> {
    let now_us = now_us();
    let answer: Result<Said, QueryError> = match question {
        Question::Track(track) => Box::pin(engine.track(tenant, track, now_us)).await.map(Said::Track),
        Question::Funnel(funnel) => Box::pin(engine.funnel(tenant, funnel, now_us)).await.map(Said::Funnel),
        Question::Cohort(cohort) => Box::pin(engine.cohort(tenant, cohort, now_us)).await.map(Said::Cohort),
        Question::Ratio(ratio) => Box::pin(engine.ratio(tenant, ratio, now_us)).await.map(Said::Ratio),
    };
    Ok(answer?)
}

type Answer = Pin<Box<dyn Future<Output = Result<Said, Refusal>> + Send>>;

/// An answer on its way.
struct Asked {
    answer: Answer,
    progress: Progress,
    began: Instant,
    news: Interval,
}

/// How far it is, again and again, then the answer.
pub(crate) fn watched(
    engine: &Engine,
    tenant: TenantId,
    question: Question,
) -> impl Stream<Item = Result<Said, Refusal>> + Send + 'static {
    let (progress, began) = (Progress::default(), Instant::now());
    let engine = engine.watched(progress.clone());
    let answer: Answer = Box::pin(async move { answered(&engine, &tenant, &question).await });
    let mut news = interval_at(began + NEWS, NEWS);
    news.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold(Some(Asked { answer, progress, began, news }), |asked| async move {
        let mut asked = asked?;
        tokio::select! {
            biased;
            answer = &mut asked.answer => Some((answer, None)),
            _ = asked.news.tick() => Some((Ok(asked.so_far()), Some(asked))),
        }
    })
}

impl Asked {
    fn so_far(&self) -> Said {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Said::Progress(watershed_schema::proto::Progress { elapsed_ms, ..self.progress.so_far() })
    }
}
