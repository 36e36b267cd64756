//! An S3 server that checks who signed a request: moto with its users (IAM) switched on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use watershed_lake::storage::{Keys, S3};

use crate::servers::Moto;

const FORM: &str = "application/x-www-form-urlencoded";
const MAY_ALL_OF_S3: &str = "%7B%22Version%22:%222012-10-17%22,%22Statement%22:%5B%7B%22Effect%22:%22Allow%22,%22Action%22:\
                             %22s3:*%22,%22Resource%22:%22*%22%7D%5D%7D";

/// Keys of a user of the server, which from now on answers nobody else.
pub(crate) struct User {
    address: SocketAddr,
    id: String,
    secret: String,
}

impl User {
    pub(crate) fn only_of(moto: &Moto) -> Self {
        let ask = |action: &str| post(moto.address, "/", FORM, &format!("Version=2010-05-08&UserName=lake&Action={action}"));
        ask("CreateUser");
        ask(&format!("PutUserPolicy&PolicyName=s3&PolicyDocument={MAY_ALL_OF_S3}"));
        let keys = ask("CreateAccessKey");
        // So many requests are answered whoever asks.
        post(moto.address, "/moto-api/reset-auth", "text/plain", "0");
        Self { address: moto.address, id: inside(&keys, "AccessKeyId"), secret: inside(&keys, "SecretAccessKey") }
    }

    pub(crate) fn s3(&self) -> S3 {
        S3 { keys: Keys::of(&self.id, &self.secret), ..crate::servers::s3_at(self.address) }
    }

    /// The same user, with another's secret.
    pub(crate) fn s3_of_a_guesser(&self) -> S3 {
        S3 { keys: Keys::of(&self.id, &self.secret.to_ascii_lowercase()), ..self.s3() }
    }
}

fn inside(xml: &str, tag: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("no {tag} in {xml}"));
    rest.split_once('<').expect("an end").0.to_owned()
}

/// The whole answer, which must be 200.
fn post(address: SocketAddr, path: &str, kind: &str, body: &str) -> String {
    // Says which service is meant; nobody checks it yet.
    let scope = "Credential=test/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x";
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: AWS4-HMAC-SHA256 {scope}\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}
