//! One file for each command.

pub(crate) mod analytics;
pub(crate) mod bench;
pub(crate) mod cdc;
pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod lake;
pub(crate) mod query;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod sources;
pub(crate) mod spawned;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod trace;
