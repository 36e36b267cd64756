//! A connection to PostgreSQL in replication mode: start-up, simple queries, messages.

use bytes::{BufMut as _, BytesMut};
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{self, ErrorFields, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::address::{Address, Place};
use crate::{PumpError, ServerError};

/// `CopyBothResponse`, which the protocol crate does not know.
const COPY_BOTH_TAG: u8 = b'W';

/// How values are written: the same on every server, since rows without a key are told apart by their text.
const OPTIONS: &str = "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3 -c timezone=UTC";

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    inbox: BytesMut,
}

/// A message, or the beginning of a copy in both directions.
pub(crate) enum Incoming {
    CopyBoth,
    Message(Message),
}

/// A row of texts.
pub(crate) type TextRow = Vec<Option<String>>;

impl Connection {
    /// Connected, authenticated, ready for a query.
    pub(crate) async fn open(address: &Address) -> Result<Self, PumpError> {
        let mut connection = Self { stream: dial(&address.place).await?, inbox: BytesMut::new() };
        let parameters = [
            ("user", address.user.as_str()),
            ("database", &address.database),
            ("replication", "database"),
            ("application_name", "watershed"),
            ("client_encoding", "UTF8"),
            ("options", OPTIONS),
        ];
        connection.send(|out| frontend::startup_message(parameters, out)).await?;
        connection.authenticate(address).await?;
        connection.until_ready().await?;
        Ok(connection)
    }

    async fn authenticate(&mut self, address: &Address) -> Result<(), PumpError> {
        let password = || address.password.as_deref().ok_or(PumpError::Authentication("a password; the URL has none"));
        loop {
            match self.message().await? {
                Message::AuthenticationOk => return Ok(()),
                Message::AuthenticationCleartextPassword => {
                    let password = password()?.as_bytes();
                    self.send(|out| frontend::password_message(password, out)).await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(address.user.as_bytes(), password()?.as_bytes(), body.salt());
                    self.send(|out| frontend::password_message(hash.as_bytes(), out)).await?;
                }
                Message::AuthenticationSasl(_) => self.scram(password()?).await?,
                _ => return Err(PumpError::Authentication("an authentication that is not known here")),
            }
        }
    }

    /// SCRAM-SHA-256 without channel binding: there is no TLS to bind to.
    async fn scram(&mut self, password: &str) -> Result<(), PumpError> {
        let mut scram = sasl::ScramSha256::new(password.as_bytes(), sasl::ChannelBinding::unsupported());
        self.send(|out| frontend::sasl_initial_response(sasl::SCRAM_SHA_256, scram.message(), out)).await?;
        let Message::AuthenticationSaslContinue(body) = self.message().await? else { return Err(unexpected("SCRAM")) };
        scram.update(body.data())?;
        self.send(|out| frontend::sasl_response(scram.message(), out)).await?;
        let Message::AuthenticationSaslFinal(body) = self.message().await? else { return Err(unexpected("SCRAM")) };
        Ok(scram.finish(body.data())?)
    }

    async fn until_ready(&mut self) -> Result<(), PumpError> {
        loop {
            match self.message().await? {
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ParameterStatus(body) if body.name()? == "server_encoding" => check_encoding(body.value()?)?,
                _ => {}
            }
        }
    }

    /// Rows of a simple query or a replication command.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<TextRow>, PumpError> {
        self.send(|out| frontend::query(sql, out)).await?;
        let mut rows = Vec::new();
        loop {
            match self.message().await? {
                Message::DataRow(row) => {
                    let texts = row.ranges().map(|range| Ok(range.map(|range| text(&row.buffer()[range]))));
                    rows.push(texts.collect()?);
                }
                Message::ReadyForQuery(_) => return Ok(rows),
                _ => {}
            }
        }
    }

    /// Sends a command that begins a copy in both directions.
    pub(crate) async fn copy_both(&mut self, command: &str) -> Result<(), PumpError> {
        self.send(|out| frontend::query(command, out)).await?;
        loop {
            match self.next().await? {
                Incoming::CopyBoth => return Ok(()),
                Incoming::Message(Message::NoticeResponse(_) | Message::ParameterStatus(_)) => {}
                Incoming::Message(_) => return Err(unexpected(command)),
            }
        }
    }

    async fn message(&mut self) -> Result<Message, PumpError> {
        match self.next().await? {
            Incoming::Message(message) => Ok(message),
            Incoming::CopyBoth => Err(unexpected("a query")),
        }
    }

    /// The next message; an error response is an error. Nothing is lost when it is dropped half-way. The largest message is
    /// PostgreSQL's own limit of a text, 1 GiB.
    pub(crate) async fn next(&mut self) -> Result<Incoming, PumpError> {
        loop {
            if let Some(incoming) = self.parse()? {
                return Ok(incoming);
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(PumpError::closed());
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Incoming>, PumpError> {
        let Some(header) = backend::Header::parse(&self.inbox)? else { return Ok(None) };
        if header.tag() == COPY_BOTH_TAG {
            let length = usize::try_from(header.len()).map_or(usize::MAX, |length| length + 1);
            let is_whole = self.inbox.len() >= length;
            return Ok(is_whole.then(|| drop(self.inbox.split_to(length))).map(|()| Incoming::CopyBoth));
        }
        match Message::parse(&mut self.inbox)? {
            Some(Message::ErrorResponse(body)) => Err(server_error(body.fields())?.named()),
            other => Ok(other.map(Incoming::Message)),
        }
    }

    /// Writes one message.
    pub(crate) async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), std::io::Error>,
    ) -> Result<(), PumpError> {
        let mut out = BytesMut::new();
        write(&mut out)?;
        self.stream.write_all(&out).await?;
        Ok(self.stream.flush().await?)
    }

    /// Writes a message of the copy.
    pub(crate) async fn send_copy_data(&mut self, data: &[u8]) -> Result<(), PumpError> {
        let data = frontend::CopyData::new(data)?;
        self.send(|out| {
            out.reserve(5);
            data.write(out);
            Ok(())
        })
        .await
    }

    pub(crate) async fn send_copy_done(&mut self) -> Result<(), PumpError> {
        self.send(|out| {
            frontend::copy_done(out);
            Ok(())
        })
        .await
    }

    /// Says good-bye.
    pub(crate) async fn terminate(mut self) -> Result<(), PumpError> {
        self.send(|out| {
            out.put_u8(b'X');
            out.put_i32(4);
            Ok(())
        })
        .await
    }
}

async fn dial(place: &Place) -> Result<Box<dyn Stream>, PumpError> {
    match place {
        Place::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Place::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
    }
}

fn check_encoding(encoding: &str) -> Result<(), PumpError> {
    if encoding == "UTF8" { Ok(()) } else { Err(PumpError::Encoding(encoding.to_owned())) }
}

fn unexpected(after: &str) -> PumpError {
    PumpError::Protocol(format!("an answer that does not belong to: {after}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Message, detail and hint in one line.
fn server_error(mut fields: ErrorFields<'_>) -> Result<ServerError, PumpError> {
    let (mut code, mut said) = (String::new(), Vec::new());
    while let Some(field) = fields.next()? {
        match field.type_() {
            b'C' => code = text(field.value_bytes()),
            b'M' | b'D' | b'H' => said.push(text(field.value_bytes())),
            _ => {}
        }
    }
    Ok(ServerError { code, message: said.join("; ") })
}
