//! Where PostgreSQL is, from a URL: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::PumpError;

const PORT: u16 = 5432;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(String, u16),
    Socket(PathBuf),
}

fn wrong(reason: impl Into<String>) -> PumpError {
    PumpError::setting("url", reason)
}

fn decoded(text: &str) -> Result<String, PumpError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|error| wrong(format!("a part is no UTF-8: {error}")))
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, PumpError> {
        let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong(format!("must begin with postgres://, not {}://", url.scheme())));
        }
        let user = Some(decoded(url.username())?).filter(|user| !user.is_empty()).unwrap_or_else(|| "postgres".to_owned());
        let database = Some(decoded(url.path().trim_start_matches('/'))?).filter(|database| !database.is_empty());
        Ok(Self {
            place: place(&url)?,
            password: url.password().map(decoded).transpose()?,
            database: database.unwrap_or_else(|| user.clone()),
            user,
        })
    }
}

/// A host that is a folder holds a socket.
fn place(url: &Url) -> Result<Place, PumpError> {
    let (mut host, mut port) = (url.host_str().map(decoded).transpose()?.unwrap_or_default(), url.port().unwrap_or(PORT));
    for (name, value) in url.query_pairs() {
        match &*name {
            "host" => host = value.into_owned(),
            "port" => port = value.parse().map_err(|error| wrong(format!("port: {error}")))?,
            "sslmode" if matches!(&*value, "disable" | "allow" | "prefer") => {}
            "sslmode" => return Err(wrong(format!("sslmode={value}: the pump has no TLS: use a socket or a tunnel"))),
            "application_name" | "connect_timeout" => {}
            _ => return Err(wrong(format!("parameter `{name}` is not known"))),
        }
    }
    Ok(match host.as_str() {
        folder if folder.starts_with('/') => Place::Socket(PathBuf::from(folder).join(format!(".s.PGSQL.{port}"))),
        "" => Place::Tcp("localhost".to_owned(), port),
        host => Place::Tcp(host.trim_matches(['[', ']']).to_owned(), port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp(host.into(), port)
    }

    #[test]
    fn urls_are_read_as_libpq_reads_them() {
        for (url, place, user, password, database) in [
            ("postgres://db", tcp("db", 5432), "postgres", None, "postgres"),
            ("postgresql://me@db:1/shop", tcp("db", 1), "me", None, "shop"),
            ("postgres://m%40e:p%3Aw%2F@[::1]:5433", tcp("::1", 5433), "m@e", Some("p:w/"), "m@e"),
            ("postgres:///shop?host=/run/pg&port=7", Place::Socket("/run/pg/.s.PGSQL.7".into()), "postgres", None, "shop"),
            ("postgres:///shop?sslmode=prefer", tcp("localhost", 5432), "postgres", None, "shop"),
        ] {
            let found = Address::parse(url).unwrap();
            assert_eq!((found.place, found.user.as_str()), (place, user), "{url}");
            assert_eq!((found.password.as_deref(), found.database.as_str()), (password, database), "{url}");
        }
        for (url, reason) in [
            ("mysql://db", "must begin with postgres://"),
            ("db", "relative URL"),
            ("postgres://db?sslmode=require", "no TLS"),
            ("postgres://db?sslmode=verify-full", "no TLS"),
            ("postgres://db?ssl=1", "`ssl` is not known"),
            ("postgres://db?port=x", "port"),
            ("postgres://%ff@db", "UTF-8"),
        ] {
            let error = Address::parse(url).map(drop).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }
}
