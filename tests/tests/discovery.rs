//! What a stranger learns at the gRPC port: health, and the names of all services.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use watershed_tests::server::Server;

async fn connect(server: &Server) -> Channel {
    Channel::from_shared(server.grpc.clone()).expect("an address").connect().await.expect("connects")
}

/// The answer to one question of reflection.
async fn reflect(server: &Server, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(connect(server).await);
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await.expect("answers").into_inner();
    answers.next().await.expect("an answer").expect("is no error").message_response.expect("says something")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_as_a_whole_is_serving() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let question = HealthCheckRequest { service: String::new() };
    let answer = HealthClient::new(connect(&server).await).check(question).await.expect("answers").into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_names_every_service() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    let MessageResponse::ListServicesResponse(list) = reflect(&server, MessageRequest::ListServices(String::new())).await else {
        panic!("no list");
    };
    let listed: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "opentelemetry.proto.collector.logs.v1.LogsService",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        "opentelemetry.proto.collector.trace.v1.TraceService",
        "watershed.v1.AnalyticsService",
        "watershed.v1.IngestService",
        "watershed.v1.ClusterService",
        "watershed.v1.LakeService",
        "watershed.v1.QueryService",
        "watershed.v1.SubscribeService",
    ];
    assert_eq!(listed, expected.map(str::to_owned).into());
}

/// A client that calls by reflection needs each message down to its last field.
#[tokio::test(flavor = "multi_thread")]
async fn what_reflection_names_it_describes() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path(), &[]);
    for symbol in [
        "opentelemetry.proto.collector.trace.v1.TraceService",
        "opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint",
        "opentelemetry.proto.common.v1.InstrumentationScope",
        "watershed.v1.Event",
    ] {
        let answer = reflect(&server, MessageRequest::FileContainingSymbol(symbol.to_owned())).await;
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{symbol}: {answer:?}");
    }
}
