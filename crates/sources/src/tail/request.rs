//! The request that a worker served, and what Cloudflare knows of its sender (`cf`).
//!
//! <https://developers.cloudflare.com/workers/runtime-apis/request/#incomingrequestcfproperties>

use std::borrow::Cow;

use url::Url;
use watershed_schema::Column;

use crate::json::{Loose as _, Members, Object};
use crate::rows::Row;

/// Headers whose values are nobody's business here.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
const REMOVED: &str = "\"[removed]\"";

pub(super) struct Request<'a> {
    request: Object<'a>,
    headers: Object<'a>,
    cf: Object<'a>,
}

impl<'a> Request<'a> {
    pub(super) fn of(event: &Object<'a>) -> Self {
        let level = |object: &Object<'a>, name| object.object(name).or_absent().unwrap_or_default();
        let request = level(event, "request");
        let (headers, cf) = (level(&request, "headers"), level(&request, "cf"));
        Self { request, headers, cf }
    }

    pub(super) fn url(&self) -> Option<Cow<'a, str>> {
        self.request.text("url").or_absent()
    }

    /// Names of headers are lower case in tail items, but nobody promises it.
    pub(super) fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.headers.members().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)?;
        serde_json::from_str::<String>(value.get()).ok().map(Cow::Owned)
    }

    pub(super) fn write(&self, row: &mut Row<'_, '_>) {
        row.text(Column::HttpMethod, self.request.text("method").or_absent());
        let url = self.url();
        let parsed = url.as_deref().and_then(|url| Url::parse(url).ok());
        row.text(Column::HttpUrl, url);
        row.text(Column::HttpHost, parsed.as_ref().and_then(Url::host_str));
        row.text(Column::HttpPath, parsed.as_ref().map(Url::path));
        let query = parsed.as_ref().and_then(Url::query).filter(|query| !query.is_empty());
        row.text(Column::HttpQuery, query.map(|query| format!("?{query}")));
        row.text(Column::HttpProtocol, self.cf.text("httpProtocol").or_absent());
        row.text(Column::HttpUserAgent, self.header("user-agent"));
        row.text(Column::HttpReferrer, self.header("referer"));
        row.text(Column::HttpContentType, self.header("content-type"));
        self.write_place(row);
        self.write_bot(row);
    }

    fn write_place(&self, row: &mut Row<'_, '_>) {
        for (column, name) in [
            (Column::GeoCountry, "country"),
            (Column::GeoRegion, "region"),
            (Column::GeoCity, "city"),
            (Column::GeoColo, "colo"),
            (Column::GeoTimezone, "timezone"),
            (Column::GeoAsOrg, "asOrganization"),
            (Column::GeoPostal, "postalCode"),
        ] {
            row.text(column, self.cf.text(name).or_absent());
        }
        row.float(Column::GeoLatitude, self.degrees("latitude"));
        row.float(Column::GeoLongitude, self.degrees("longitude"));
        row.int(Column::GeoAsn, self.cf.int("asn").or_absent());
    }

    /// Cloudflare sends degrees as text.
    fn degrees(&self, name: &'static str) -> Option<f64> {
        let degrees: f64 = self.cf.word(name).or_absent()?.parse().ok()?;
        degrees.is_finite().then_some(degrees)
    }

    fn write_bot(&self, row: &mut Row<'_, '_>) {
        let bot = self.cf.object("botManagement").or_absent().unwrap_or_default();
        row.int(Column::BotScore, bot.int("score").or_absent());
        row.bool(Column::BotVerified, bot.bool("verifiedBot").or_absent());
    }

    /// The request as it was sent, but for the values of headers that let somebody in.
    pub(super) fn kept(&self) -> Option<String> {
        let mut headers = Members::default();
        for (name, value) in self.headers.members() {
            let secret = SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
            headers.raw(name, if secret { REMOVED } else { value.get() });
        }
        let mut request = self.request.rest(&["headers"]);
        request.maybe("headers", headers.finish());
        request.finish()
    }
}
