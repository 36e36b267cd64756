//! One mapper of `context` for all calls.

use std::borrow::Cow;

use serde_json::value::RawValue;
use watershed_schema::Column;

use super::Call;
use crate::json::{Loose as _, Object};
use crate::rows::Row;
use crate::trace_context::TraceParent;

type Text<'a> = Option<Cow<'a, str>>;

/// What a message says about itself, level by level. Senders fill it as they like: what does not fit is left in the JSON.
pub(super) struct About<'r, 'a> {
    call: Call,
    record: &'r Object<'a>,
    context: Object<'a>,
    page: Object<'a>,
    properties: Object<'a>,
    traits: Option<&'a RawValue>,
}

impl<'r, 'a> About<'r, 'a> {
    pub(super) fn of(context: Option<&'a RawValue>, call: Call, record: &'r Object<'a>) -> Self {
        let context = context.and_then(Object::of).unwrap_or_default();
        let page = level(&context, "page");
        let properties = if call.is_view() { level(record, "properties") } else { Object::default() };
        let traits = record.raw("traits").or_else(|| context.raw("traits"));
        Self { call, record, context, page, properties, traits }
    }

    pub(super) fn write(&self, row: &mut Row<'_, '_>) {
        self.write_page(row);
        self.write_device(row);
        self.write_place(row);
        self.write_campaign(row);
        self.write_ties(row);
        if self.call == Call::Identify {
            row.text(Column::ActorName, self.traits.and_then(Object::of).and_then(|traits| traits.text("name").or_absent()));
        }
        row.json(Column::Traits, self.traits);
    }

    /// A page call says it in its properties, the others in `context.page`.
    fn write_page(&self, row: &mut Row<'_, '_>) {
        let either = |name| self.properties.text(name).or_absent().or_else(|| self.page.text(name).or_absent());
        row.text(Column::HttpUrl, either("url"));
        row.text(Column::HttpPath, either("path"));
        row.text(Column::HttpReferrer, either("referrer"));
        row.text(Column::PageTitle, self.title());
        let search = either("search");
        if self.call.is_view() {
            row.text(Column::HttpQuery, search.as_deref());
        }
        row.text(Column::PageSearch, search);
    }

    fn title(&self) -> Text<'a> {
        if !self.call.is_view() {
            return self.page.text("title").or_absent();
        }
        self.record.text("name").or_absent().or_else(|| self.properties.text("title").or_absent())
    }

    fn write_device(&self, row: &mut Row<'_, '_>) {
        row.text(Column::HttpUserAgent, self.context.text("userAgent").or_absent());
        let library = level(&self.context, "library");
        row.text(Column::ClientType, library.text("name").or_absent());
        row.text(Column::ClientName, library.text("name").or_absent());
        row.text(Column::ClientVersion, library.text("version").or_absent());
        let device = level(&self.context, "device");
        row.text(Column::DeviceType, device.text("type").or_absent());
        row.text(Column::DeviceModel, device.text("model").or_absent());
        row.text(Column::DeviceBrand, device.text("brand").or_absent().or_else(|| device.text("manufacturer").or_absent()));
        let os = level(&self.context, "os");
        row.text(Column::OsName, os.text("name").or_absent());
        row.text(Column::OsVersion, os.word("version").or_absent());
        row.text(Column::ScreenSize, screen(&level(&self.context, "screen")));
    }

    fn write_place(&self, row: &mut Row<'_, '_>) {
        let location = level(&self.context, "location");
        row.text(Column::GeoCountry, location.text("country").or_absent());
        row.text(Column::GeoRegion, location.text("region").or_absent());
        row.text(Column::GeoCity, location.text("city").or_absent());
        row.text(Column::GeoTimezone, self.context.text("timezone").or_absent());
        row.float(Column::GeoLatitude, location.float("latitude").or_absent());
        row.float(Column::GeoLongitude, location.float("longitude").or_absent());
    }

    fn write_campaign(&self, row: &mut Row<'_, '_>) {
        let campaign = level(&self.context, "campaign");
        row.text(Column::CampaignName, campaign.text("name").or_absent());
        row.text(Column::CampaignSource, campaign.text("source").or_absent());
        row.text(Column::CampaignMedium, campaign.text("medium").or_absent());
        row.text(Column::CampaignTerm, campaign.text("term").or_absent());
        row.text(Column::CampaignContent, campaign.text("content").or_absent());
    }

    /// What ties a message to other sources: ours, Segment has no names for them.
    fn write_ties(&self, row: &mut Row<'_, '_>) {
        row.text(Column::SessionId, self.context.word("sessionId").or_absent());
        TraceParent::of(&self.context).write(row);
        if self.call == Call::Group {
            row.text(Column::ResourceType, Some("group"));
            row.text(Column::ResourceId, self.record.word("groupId").or_absent());
        }
    }
}

fn level<'a>(object: &Object<'a>, name: &'static str) -> Object<'a> {
    object.object(name).or_absent().unwrap_or_default()
}

fn screen(screen: &Object<'_>) -> Option<String> {
    let side = |name| screen.int(name).or_absent().filter(|side| *side != 0);
    Some(format!("{}x{}", side("width")?, side("height")?))
}
