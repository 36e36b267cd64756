//! Counts, funnels, cohorts and ratios as plans over `events`.
//!
//! What is asked comes as the messages of `analytics.proto`; a text of the caller becomes a literal or, for conditions, an
//! expression, never a part of SQL.

pub(crate) mod attempt;
pub(crate) mod calendar;
pub(crate) mod cohort;
pub(crate) mod duration;
mod field;
mod filter;
pub(crate) mod funnel;
mod range;
pub(crate) mod ratio;
pub(crate) mod run;
pub(crate) mod source;
mod step;
pub(crate) mod track;

use watershed_schema::proto::analytics_request::Question;
use watershed_schema::{TenantId, proto};

use self::run::Asked;
use crate::{Engine, QueryError};

/// Longest name of an event, bytes.
const NAME_BYTES_MAX: usize = 1_024;
/// Longest path of a field, bytes.
const FIELD_BYTES_MAX: usize = 1_024;
/// Longest condition, bytes.
const FILTER_BYTES_MAX: usize = 16 << 10;
/// Most conditions of one list.
const FILTERS_MAX: usize = 32;
/// Most values of an answer: points, or groups times steps, or cohorts times periods.
const POINTS_MAX: usize = 100_000;

impl Engine {
    /// One aggregate over events of a name. `now_us` is the caller's clock.
    ///
    /// # Errors
    /// [`QueryError`]; [`QueryError::InvalidSpec`] names the field.
    pub async fn track(
        &self,
        tenant: &TenantId,
        request: &proto::TrackRequest,
        now_us: i64,
    ) -> Result<proto::TrackResponse, QueryError> {
        let track = track::Track::of(request, now_us)?;
        let asked = Asked { tenant, question: Question::Track(request.clone()), now_us };
        let (points, coverage) = self.analyse(&asked, &track, &track.range).await?;
        Ok(proto::TrackResponse { points: track.answer(points, now_us)?, coverage: Some(coverage) })
    }

    /// How far actors get.
    ///
    /// # Errors
    /// As [`Engine::track`].
    pub async fn funnel(
        &self,
        tenant: &TenantId,
        request: &proto::FunnelRequest,
        now_us: i64,
    ) -> Result<proto::FunnelResponse, QueryError> {
        let funnel = funnel::Funnel::of(request, now_us)?;
        let asked = Asked { tenant, question: Question::Funnel(request.clone()), now_us };
        let (groups, coverage) = self.analyse(&asked, &funnel, &funnel.range).await?;
        Ok(proto::FunnelResponse { groups: funnel.answer(groups), coverage: Some(coverage) })
    }

    /// Who comes back.
    ///
    /// # Errors
    /// As [`Engine::track`].
    pub async fn cohort(
        &self,
        tenant: &TenantId,
        request: &proto::CohortRequest,
        now_us: i64,
    ) -> Result<proto::CohortResponse, QueryError> {
        let cohort = cohort::CohortSpec::of(request, now_us)?;
        let asked = Asked { tenant, question: Question::Cohort(request.clone()), now_us };
        let (cohorts, coverage) = self.analyse(&asked, &cohort, &cohort.range).await?;
        Ok(proto::CohortResponse { cohorts: cohort.answer(cohorts, now_us), coverage: Some(coverage) })
    }

    /// Events of one kind for each of another.
    ///
    /// # Errors
    /// As [`Engine::track`].
    pub async fn ratio(
        &self,
        tenant: &TenantId,
        request: &proto::RatioRequest,
        now_us: i64,
    ) -> Result<proto::RatioResponse, QueryError> {
        let ratio = ratio::Ratio::of(request, now_us)?;
        let asked = Asked { tenant, question: Question::Ratio(request.clone()), now_us };
        let ((a, b), coverage) = self.analyse(&asked, &ratio, &ratio.range).await?;
        let value = if b == 0 { 0.0 } else { a as f64 / b as f64 };
        Ok(proto::RatioResponse { a, b, value, coverage: Some(coverage) })
    }
}
