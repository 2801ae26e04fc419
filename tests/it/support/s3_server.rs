//! An S3 server on loopback that keeps its objects in a directory, with faults on request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub const KEY: &str = "an-access-key";
pub const SECRET: &str = "a-secret-key";
pub const BUCKET: &str = "heaps";

/// Runs until it is dropped.
pub struct S3Server {
    address: SocketAddr,
    faults: Arc<Faults>,
    serving: JoinHandle<()>,
}

/// What is wrong with it.
#[derive(Default)]
pub struct Faults {
    /// So many requests are answered with 503,
    refuse: AtomicU32,
    /// so many answers break off in the middle of their bodies,
    cut: AtomicU32,
    /// and those for blobs wait until this is over.
    held: watch::Sender<Option<&'static str>>,
    hit: AtomicU32,
}

type Body =
    http_body_util::combinators::UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

impl S3Server {
    /// Serves what is in the directory; its own folders are the buckets.
    pub async fn start(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join(BUCKET)).expect("a bucket");
        let files = s3s_fs::FileSystem::new(directory).expect("a directory");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let faults = Arc::<Faults>::default();
        let serving = tokio::spawn(serve(listener, service, Arc::clone(&faults)));
        Self {
            address,
            faults,
            serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a program needs in its environment to use it.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
    }

    /// The next requests are answered with 503.
    pub fn refuse(&self, requests: u32) {
        self.faults.refuse.store(requests, Ordering::SeqCst);
    }

    /// The next answers with a body break off.
    pub fn cut(&self, answers: u32) {
        self.faults.cut.store(answers, Ordering::SeqCst);
    }

    /// Requests whose path has this part wait from now on; with none, all go on.
    pub fn hold(&self, part: Option<&'static str>) {
        self.faults.held.send_replace(part);
    }

    /// How many requests were hurt.
    pub fn hit(&self) -> u32 {
        self.faults.hit.load(Ordering::SeqCst)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service, faults: Arc<Faults>) {
    // They end with the server, as those of a dead machine.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (service, faults) = (service.clone(), Arc::clone(&faults));
        connections.spawn(async move {
            let answer = service_fn(|request| answer(&service, &faults, request));
            let connection = hyper::server::conn::http1::Builder::new();
            // The client may leave at any time, and a cut body is an error here, too.
            let _ = connection
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    service: &S3Service,
    faults: &Faults,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let one_less = |count: &AtomicU32| {
        count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    };
    let mut held = faults.held.subscribe();
    let path = request.uri().path();
    if held
        .borrow_and_update()
        .is_some_and(|part| path.contains(part))
    {
        faults.hit.fetch_add(1, Ordering::SeqCst);
        let ended = held.wait_for(Option::is_none).await;
        ended.expect("the server has the sender");
    }
    if one_less(&faults.refuse) {
        faults.hit.fetch_add(1, Ordering::SeqCst);
        let mut refused = Response::new(http_body_util::Empty::new().map_err(never).boxed_unsync());
        *refused.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(refused);
    }
    let is_read = request.method() == hyper::Method::GET;
    let answered = tower::Service::call(&mut service.clone(), request).await;
    let Ok(answered) = answered else {
        let mut failed = Response::new(http_body_util::Empty::new().map_err(never).boxed_unsync());
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(failed);
    };
    let (parts, body) = answered.into_parts();
    if !is_read || !parts.status.is_success() || !one_less(&faults.cut) {
        let body = body.map_err(Into::into).boxed_unsync();
        return Ok(Response::from_parts(parts, body));
    }
    faults.hit.fetch_add(1, Ordering::SeqCst);
    let whole = body.collect().await.expect("a body").to_bytes();
    let half = whole.slice(..whole.len() / 2);
    let frames = [
        Ok(hyper::body::Frame::data(half)),
        Err::<_, Box<dyn std::error::Error + Send + Sync>>("cut".into()),
    ];
    let cut = http_body_util::StreamBody::new(futures::stream::iter(frames));
    Ok(Response::from_parts(parts, cut.boxed_unsync()))
}

fn never(error: Infallible) -> Box<dyn std::error::Error + Send + Sync> {
    match error {}
}
