//! A real server that cuts the stream half way: nothing is lost, nothing comes twice.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail like the test")]

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};
use watershed_client::services::subscribe_service_server::{SubscribeService, SubscribeServiceServer};
use watershed_client::{Client, Error, Event, Filter, Item, Start};
use watershed_schema::proto::subscribe_request::Start as WireStart;
use watershed_schema::proto::subscribe_response::Message;
use watershed_schema::proto::{
    Delivery, EventBatch, FollowRequest, FollowResponse, Gap, SubscribeRequest, SubscribeResponse, Subscribed,
};

type Script = Vec<Result<SubscribeResponse, Status>>;
type Beginning = (Option<WireStart>, Option<String>);

/// Plays one script per connection and remembers how each began.
#[derive(Clone, Default)]
struct Server {
    scripts: Arc<Mutex<Vec<Script>>>,
    starts: Arc<Mutex<Vec<Beginning>>>,
}

#[tonic::async_trait]
impl SubscribeService for Server {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let tenant = request.metadata().get("x-scope-orgid").map(|name| name.to_str().unwrap().to_owned());
        self.starts.lock().unwrap().push((request.into_inner().start, tenant));
        let mut scripts = self.scripts.lock().unwrap();
        if scripts.is_empty() {
            return Err(Status::invalid_argument("no more scripts"));
        }
        Ok(Response::new(Box::pin(futures::stream::iter(scripts.remove(0)))))
    }

    type FollowStream = Pin<Box<dyn Stream<Item = Result<FollowResponse, Status>> + Send>>;

    async fn follow(&self, _: Request<tonic::Streaming<FollowRequest>>) -> Result<Response<Self::FollowStream>, Status> {
        Err(Status::unimplemented("not a part of these scripts"))
    }
}

async fn play(scripts: Vec<Script>) -> (Server, Client) {
    let server = Server { scripts: Arc::new(Mutex::new(scripts)), ..Server::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let service = SubscribeServiceServer::new(server.clone());
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (server, Client::connect(&endpoint).await.unwrap().with_tenant("shop").unwrap())
}

fn message(message: Message, token: &'static str) -> Result<SubscribeResponse, Status> {
    Ok(SubscribeResponse { message: Some(message), resume_token: token.into() })
}

fn hello(token: &'static str) -> Result<SubscribeResponse, Status> {
    message(Message::Subscribed(Subscribed { shards: 1 }), token)
}

fn delivery(from: u64, to: u64, token: &'static str) -> Result<SubscribeResponse, Status> {
    let shared = vec![Event { service_name: Some("checkout".into()), event_name: Some("shared".into()), ..Event::default() }];
    let event =
        |seq: u64| Event { id: Some(format!("e{seq}")), event_name: Some("own".into()), shared: Some(1), ..Event::default() };
    let batch = EventBatch { shared, events: (from..to).map(event).collect() };
    let seqs = (from..to).collect();
    message(
        Message::Delivery(Delivery { shard: 0, from_seq_inclusive: from, to_seq_exclusive: to, seqs, batch: Some(batch) }),
        token,
    )
}

fn seqs(item: &Item) -> Vec<u64> {
    item.events.iter().map(|(seq, _)| *seq).collect()
}

#[tokio::test]
async fn resumes_from_the_last_token_after_a_cut() {
    let first = vec![hello("t0"), delivery(1, 3, "t1"), Err(Status::unavailable("cut"))];
    let second = vec![hello("t1"), delivery(3, 5, "t2")];
    let (server, client) = play(vec![first, second]).await;
    let items: Vec<Item> = client.subscribe(Filter::default(), Start::Earliest).take(2).map(Result::unwrap).collect().await;
    assert_eq!(items.iter().flat_map(seqs).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(items[1].resume_token, "t2");
    let starts = server.starts.lock().unwrap().clone();
    let tenant = Some("shop".to_owned());
    assert_eq!(starts, [(Some(WireStart::Earliest(true)), tenant.clone()), (Some(WireStart::ResumeToken("t1".into())), tenant)]);
}

#[tokio::test]
async fn merges_the_shared_part_below_the_events_own() {
    let (_server, client) = play(vec![vec![delivery(7, 8, "t")]]).await;
    let item = client.subscribe(Filter::default(), Start::Now).next().await.unwrap().unwrap();
    let event = &item.events[0].1;
    assert_eq!((event.service_name.as_deref(), event.event_name.as_deref()), (Some("checkout"), Some("own")));
    assert_eq!(event.shared, None);
}

#[tokio::test]
async fn a_hole_across_the_reconnect_is_an_error() {
    let (_server, client) = play(vec![vec![delivery(1, 3, "t1")], vec![delivery(4, 5, "t2")]]).await;
    let mut events = client.subscribe(Filter::default(), Start::Now);
    events.next().await.unwrap().unwrap();
    let broken = events.next().await.unwrap();
    assert!(matches!(broken, Err(Error::Broken { shard: 0, expected: 3, got: 4 })), "{broken:?}");
    assert!(events.next().await.is_none(), "a broken stream ends");
}

#[tokio::test]
async fn an_announced_gap_is_no_hole() {
    let gap = Gap { shard: 0, from_seq_inclusive: 3, to_seq_exclusive: 9, ..Gap::default() };
    let script = vec![delivery(1, 3, "t1"), message(Message::Gap(gap), "t2"), delivery(9, 10, "t3")];
    let (_server, client) = play(vec![script]).await;
    let items: Vec<Item> = client.subscribe(Filter::default(), Start::Now).take(3).map(Result::unwrap).collect().await;
    assert_eq!((items[1].lost.as_ref().map(|lost| lost.seqs.clone()), seqs(&items[2])), (Some(3..9), vec![9]));
}

#[tokio::test]
async fn a_refusal_is_not_retried() {
    let (server, client) = play(Vec::new()).await;
    let refused = client.subscribe(Filter::default(), Start::Now).next().await.unwrap().unwrap_err();
    assert!(!refused.is_retryable() && !refused.is_unreachable(), "{refused}");
    assert_eq!(server.starts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Client::connect(&endpoint).await.unwrap_err();
    assert!(error.is_unreachable() && error.is_retryable(), "{error}");
}
