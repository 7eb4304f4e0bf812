//! The Engine's API over SSH: through the forwarded socket, through the fallback, and with an
//! Engine that restarts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use skep::docker::DockerClient;
use skep::inventory::SshTarget;
use skep::transport::{
    ConnectOptions, Connection as _, Exec, KnownHosts, KnownSecrets, Method, SecretStore,
    SshConnection, TransportError, connect_with,
};

use super::docker_server::{FakeDockerServer, ServerReaction, echo};
use super::sshd::{Sshd, TestAccount, bare_options};

const LIMIT: Duration = Duration::from_secs(10);

/// Connects to the server; its folder has the Engine's socket, `engine`.
async fn reach(sshd: &Sshd, target: &SshTarget) -> Arc<SshConnection> {
    let docker_socket = sshd.path("engine").display().to_string();
    let known = KnownSecrets {
        become_password: Some("it's a $ecret".into()),
        ..KnownSecrets::default()
    };
    let secrets = Arc::new(SecretStore::new(known, None));
    let options = ConnectOptions {
        docker_socket,
        secrets,
        ..bare_options()
    };
    connect_with(
        target,
        &KnownHosts::load(&target.known_hosts).unwrap(),
        &options,
    )
    .await
    .unwrap()
}

async fn client_of(
    behaviour: impl Fn(&str, &[u8]) -> ServerReaction + Send + Sync + 'static,
) -> (Sshd, FakeDockerServer, DockerClient) {
    let sshd = Sshd::start("");
    let server = FakeDockerServer::start(&sshd.path("engine"), behaviour);
    let connection = reach(&sshd, &sshd.target()).await;
    let client = DockerClient::connect(connection).await.unwrap();
    (sshd, server, client)
}

fn docker_program() {
    let found = std::process::Command::new("sh")
        .args(["-c", "command -v docker"])
        .output()
        .unwrap();
    assert!(
        found.status.success(),
        "this test needs the docker program (its socket is not touched)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_use_older_api_version_of_both_sides() {
    for (engine, used) in [
        ("1.41", "1.41"),
        ("1.47", "1.47"),
        ("1.53", "1.47"),
        ("1.9", "1.9"),
    ] {
        let (_sshd, server, client) = client_of(echo(engine)).await;
        let body = json!({ "Name": "quote\" and ünï" });
        let (status, value) = client
            .request(&Method::POST, "/swarm/update?version=7", Some(&body), LIMIT)
            .await
            .unwrap();
        assert_eq!(status, 200);
        assert_eq!(
            value,
            json!({ "line": format!("POST /v{used}/swarm/update?version=7"), "body": body })
        );
        let (_, value) = client
            .request(&Method::GET, "/info", None, LIMIT)
            .await
            .unwrap();
        assert_eq!(value["line"], format!("GET /v{used}/info"));
        assert_eq!(
            server.seen().len(),
            3,
            "one ping, one stream: {:?}",
            server.seen()
        );
    }
}

/// The answer to the first reading also tells the version.
#[tokio::test(flavor = "multi_thread")]
async fn first_reading_needs_no_ping() {
    for (engine, requests) in [
        ("1.41", vec!["GET /info", "POST /v1.41/x"]),
        // An answer by a version that is not known here is read again.
        (
            "1.53",
            vec!["GET /info", "GET /v1.47/info", "POST /v1.47/x"],
        ),
    ] {
        let sshd = Sshd::start("");
        let server = FakeDockerServer::start(&sshd.path("engine"), echo(engine));
        let connection = reach(&sshd, &sshd.target()).await;
        let client = DockerClient::new(connection);
        let (status, _) = client
            .request(&Method::GET, "/info", None, LIMIT)
            .await
            .unwrap();
        assert_eq!(status, 200);
        client
            .request(&Method::POST, "/x", None, LIMIT)
            .await
            .unwrap();
        assert_eq!(server.seen(), requests);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_new_engine_gets_its_minimum_api_version() {
    let (_sshd, server, client) = client_of(|line, _| match line.rsplit(' ').next().unwrap() {
        "/_ping" => ServerReaction::Answer(200, "Api-Version: 1.60\r\n".into(), b"OK".to_vec()),
        "/version" => ServerReaction::Answer(200, String::new(), br#"{"ApiVersion":"1.60","MinAPIVersion":"1.50"}"#.to_vec()),
        path if path.starts_with("/v1.50/") => ServerReaction::Answer(204, String::new(), Vec::new()),
        _ => {
            let text = r#"{"message":"client version 1.47 is too old. Minimum supported API version is 1.50, please upgrade"}"#;
            ServerReaction::Answer(400, String::new(), text.as_bytes().to_vec())
        }
    })
    .await;
    let answer = client
        .request(&Method::POST, "/swarm/leave", None, LIMIT)
        .await
        .unwrap();
    assert_eq!(answer, (204, serde_json::Value::Null));
    client
        .request(&Method::POST, "/swarm/leave", None, LIMIT)
        .await
        .unwrap();
    let lines = server.seen();
    assert_eq!(
        lines[1..],
        [
            "POST /v1.47/swarm/leave",
            "GET /version",
            "POST /v1.50/swarm/leave",
            "POST /v1.50/swarm/leave"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn error_statuses_and_plain_text_bodies() {
    let (_sshd, _server, client) = client_of(|line, _| match line.rsplit(' ').next().unwrap() {
        "/_ping" => ServerReaction::Answer(200, "Api-Version: 1.47\r\n".into(), b"OK".to_vec()),
        "/v1.47/swarm" => ServerReaction::Answer(
            503,
            String::new(),
            br#"{"message":"This node is not a swarm manager."}"#.to_vec(),
        ),
        _ => ServerReaction::Answer(200, String::new(), b"{\"a\":1}\n{\"b\":2}\n".to_vec()),
    })
    .await;
    let (status, value) = client
        .request(&Method::GET, "/swarm", None, LIMIT)
        .await
        .unwrap();
    assert_eq!(
        (status, &value["message"]),
        (503, &json!("This node is not a swarm manager."))
    );
    let (_, value) = client
        .request(&Method::POST, "/images/create", None, LIMIT)
        .await
        .unwrap();
    assert_eq!(value, json!("{\"a\":1}\n{\"b\":2}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_engine_is_reconnected() {
    let (_sshd, server, client) = client_of(echo("1.47")).await;
    for method in [Method::GET, Method::POST] {
        server.drop_streams().await;
        // The end of the stream may not have arrived yet for the first request.
        tokio::time::sleep(Duration::from_millis(200)).await;
        client
            .request(&method, "/after", None, LIMIT)
            .await
            .unwrap();
        assert_eq!(server.count(&format!("{method} /v1.47/after")), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_requests_are_never_repeated() {
    let (_sshd, server, client) = client_of(|line, body| match line {
        "POST /v1.47/die" | "GET /v1.47/die" => ServerReaction::Close,
        line => echo("1.47")(line, body),
    })
    .await;
    let error = client
        .request(&Method::POST, "/die", Some(&json!({})), LIMIT)
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::Lost(_)), "{error}");
    assert_eq!(server.count("POST /v1.47/die"), 1);
    client
        .request(&Method::GET, "/alive", None, LIMIT)
        .await
        .unwrap();
    // A read is repeated, but only once.
    assert!(
        client
            .request(&Method::GET, "/die", None, LIMIT)
            .await
            .is_err()
    );
    assert_eq!(server.count("GET /v1.47/die"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_engine_times_out_and_next_request_works() {
    let (_sshd, _server, client) = client_of(|line, body| match line {
        "GET /v1.47/hang" => ServerReaction::Silence,
        line => echo("1.47")(line, body),
    })
    .await;
    let limit = Duration::from_millis(300);
    assert_eq!(
        client
            .request(&Method::GET, "/hang", None, limit)
            .await
            .unwrap_err(),
        TransportError::Timeout(limit)
    );
    assert_eq!(
        client
            .request(&Method::GET, "/info", None, LIMIT)
            .await
            .unwrap()
            .0,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_and_body_size_limit() {
    let (_sshd, _server, client) = client_of(|line, body| match line.rsplit(' ').next().unwrap() {
        "/v1.47/large" => ServerReaction::Answer(200, String::new(), vec![b'1'; 8 << 20]),
        "/v1.47/huge" => ServerReaction::Answer(200, String::new(), vec![b'1'; (64 << 20) + 1]),
        _ => echo("1.47")(line, body),
    })
    .await;
    let client = Arc::new(client);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let client = Arc::clone(&client);
        tasks.spawn(async move {
            let (_, value) = client
                .request(&Method::GET, &format!("/tasks/{number}"), None, LIMIT)
                .await
                .unwrap();
            assert_eq!(value["line"], format!("GET /v1.47/tasks/{number}"));
        });
    }
    tasks.join_all().await;
    let (_, value) = client
        .request(&Method::GET, "/large", None, LIMIT)
        .await
        .unwrap();
    assert_eq!(value.as_str().map_or(0, str::len), 8 << 20);
    let error = client
        .request(&Method::GET, "/huge", None, Duration::from_secs(60))
        .await
        .unwrap_err();
    assert_eq!(error, TransportError::TooMuchOutput(64 << 20));
    client
        .request(&Method::GET, "/info", None, LIMIT)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_do_not_block_each_other() {
    let here = std::sync::atomic::AtomicUsize::new(0);
    let (_sshd, _server, client) = client_of(move |line, body| {
        if line.ends_with("/meet") {
            // The first request waits for the second: one after the other, both would be late.
            let come = Instant::now();
            here.fetch_add(1, Ordering::SeqCst);
            let alone = || here.load(Ordering::SeqCst) < 2 && come.elapsed() < LIMIT / 2;
            tokio::task::block_in_place(|| {
                while alone() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            if come.elapsed() >= LIMIT / 2 {
                return ServerReaction::Answer(503, String::new(), Vec::new());
            }
        }
        echo("1.47")(line, body)
    })
    .await;
    let meet = || client.request(&Method::GET, "/meet", None, LIMIT);
    let (one, other) = tokio::join!(meet(), meet());
    assert_eq!((one.unwrap().0, other.unwrap().0), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_api_fallback_without_socket_forwarding() {
    docker_program();
    let forbidden = Sshd::start("AllowStreamLocalForwarding no");
    let as_root = forbidden.target();
    let allowed = Sshd::start("");
    let account = TestAccount::with_sudo("/bin/bash");
    std::fs::write(account.home(".bashrc"), "echo noise\n").unwrap();
    let through_sudo = SshTarget {
        user: account.name.clone(),
        become_root: true,
        ..allowed.target()
    };
    // sudo asks for a password, and the account's start files print noise.
    let with_password = Sshd::start("");
    let asked = TestAccount::new("/bin/bash");
    asked.set_password("it's a $ecret");
    asked.sudoers(&format!(
        "Defaults:{0} timestamp_timeout=0, lecture=always\n{0} ALL=(ALL) ALL\n",
        asked.name
    ));
    std::fs::write(asked.home(".bashrc"), "echo noise\n").unwrap();
    let through_password = SshTarget {
        user: asked.name.clone(),
        become_root: true,
        ..with_password.target()
    };
    let servers = [
        (&forbidden, &as_root),
        (&allowed, &through_sudo),
        (&with_password, &through_password),
    ];
    for (sshd, target) in servers {
        let server = FakeDockerServer::start(&sshd.path("engine"), echo("1.47"));
        super::sshd::must("chmod", &["600", sshd.path("engine").to_str().unwrap()]);
        let connection = reach(sshd, target).await;
        let client = DockerClient::connect(connection.clone()).await.unwrap();
        for _ in 0..3 {
            client
                .request(&Method::GET, "/info", None, LIMIT)
                .await
                .unwrap();
        }
        assert_eq!(server.count("GET /v1.47/info"), 3);
        // The stream uses one session; the other sessions stay usable.
        assert!(connection.exec(Exec::root("true")).await.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_go_through_sshd_where_there_is_no_docker_program() {
    let sshd = Sshd::start_without_docker();
    let server = FakeDockerServer::start(&sshd.path("engine"), echo("1.47"));
    let connection = reach(&sshd, &sshd.target()).await;
    let found = Exec::root("command -v docker || echo none");
    let found = connection.exec(found).await.unwrap();
    assert_eq!(found.stdout, b"none\n");
    let client = DockerClient::connect(connection.clone()).await.unwrap();
    let get = || client.request(&Method::GET, "/info", None, LIMIT);
    let (one, two, three) = tokio::join!(get(), get(), get());
    assert_eq!([one, two, three].map(|one| one.unwrap().0), [200; 3]);
    let (status, _) = client
        .request(&Method::POST, "/swarm/leave", None, LIMIT)
        .await
        .unwrap();
    assert_eq!(status, 200);
    assert_eq!(server.count("GET /v1.47/info"), 3);
    assert_eq!(server.count("POST /v1.47/swarm/leave"), 1);
    // Another account may not use the socket, and sshd does not become root for it.
    let account = TestAccount::with_sudo("/bin/bash");
    super::sshd::must("chmod", &["600", sshd.path("engine").to_str().unwrap()]);
    let other = SshTarget {
        user: account.name.clone(),
        become_root: true,
        ..sshd.target()
    };
    let error = DockerClient::connect(reach(&sshd, &other).await).await;
    let error = error.err().unwrap().to_string();
    assert!(error.contains("no `docker` program"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_dead_engine_are_distinguished() {
    docker_program();
    let sshd = Sshd::start("");
    let connection = reach(&sshd, &sshd.target()).await;
    let error = DockerClient::connect(connection.clone())
        .await
        .err()
        .unwrap();
    // This machine has the program, so an Engine counts as installed.
    let expected = sshd.path("engine").display().to_string() + " does not exist";
    assert_eq!(
        error,
        TransportError::NoDocker {
            installed: true,
            why: expected
        }
    );

    // A socket without a listener, as after a crash.
    drop(std::os::unix::net::UnixListener::bind(sshd.path("engine")).unwrap());
    let error = DockerClient::connect(connection.clone())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(
            &error,
            TransportError::NoDocker {
                installed: true,
                ..
            }
        ),
        "{error}"
    );

    // A server that is not an Engine.
    std::fs::remove_file(sshd.path("engine")).unwrap();
    let _server = FakeDockerServer::start(&sshd.path("engine"), |_, _| {
        ServerReaction::Answer(404, String::new(), b"what?".to_vec())
    });
    let error = DockerClient::connect(connection).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::NoDocker { why, .. } if why.contains("other than a Docker Engine")),
        "{error}"
    );
}
