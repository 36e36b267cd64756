//! The times of one request, milliseconds since the page's time origin, and how long its parts took.

use watershed_schema::Column;

use crate::Fault;
use crate::json::Object;
use crate::rows::Row;

/// The times that the browser shows.
pub(super) struct Timing {
    start: Option<f64>,
    duration: Option<f64>,
    lookup: Span,
    connect: Span,
    request_start: Option<f64>,
    response: Span,
}

/// From when to when.
#[derive(Clone, Copy)]
struct Span(Option<f64>, Option<f64>);

impl Span {
    /// Never negative: clocks are rounded. Never infinite: no clock shows such times.
    fn length(self) -> Option<f64> {
        Some((self.1? - self.0?).max(0.0)).filter(|length| length.is_finite())
    }
}

impl Timing {
    pub(super) fn of(entry: &Object<'_>) -> Result<Self, Fault> {
        let start = entry.float("startTime")?;
        let zero_is_hidden = start != Some(0.0) || !shows_anything(entry)?;
        let shown = |name| Ok(entry.float(name)?.filter(|time| *time != 0.0 || !zero_is_hidden));
        Ok(Self {
            start,
            duration: entry.float("duration")?,
            lookup: Span(shown("domainLookupStart")?, shown("domainLookupEnd")?),
            connect: Span(shown("connectStart")?, shown("connectEnd")?),
            request_start: shown("requestStart")?,
            response: Span(shown("responseStart")?, shown("responseEnd")?),
        })
    }

    pub(super) fn start(&self) -> Option<f64> {
        self.start
    }

    pub(super) fn write(&self, row: &mut Row<'_, '_>) {
        row.float(Column::DurationMs, self.duration.map(|duration| duration.max(0.0)));
        row.float(Column::SnippetStartTime, self.start);
        row.float(Column::SnippetDnsTime, self.lookup.length());
        row.float(Column::SnippetConnectTime, self.connect.length());
        row.float(Column::SnippetTtfb, Span(self.request_start, self.response.0).length());
        row.float(Column::SnippetDownloadTime, self.response.length());
        row.float(Column::SnippetBlockedTime, Span(self.start, self.lookup.0).length());
    }
}

/// A request to another origin that does not allow it shows none of these: they are 0, which is no time after the start.
/// Only a request that begins with the page has times that may be 0.
fn shows_anything(entry: &Object<'_>) -> Result<bool, Fault> {
    for name in ["domainLookupEnd", "connectEnd", "requestStart", "responseStart"] {
        if entry.float(name)?.is_some_and(|time| time != 0.0) {
            return Ok(true);
        }
    }
    Ok(false)
}
