//! The HTTP server of a stand-in: what happens around each answer, and the thread it runs on.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web, web::Bytes};
use serde_json::Value;

use super::{
    call::{Call, Reply},
    callouts::Courier,
    desk::Psa,
    faults::{Fault, change_rows, status_reply, without_rows},
    request_log::LoggedRequest,
};
use crate::fake_microsoft::faults::{percent_decoded, reset, slow, truncated};

/// Largest request body that is read.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// A running server. It stops when this is dropped.
pub struct Running {
    handles: Vec<ServerHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for handle in &self.handles {
            // The command is sent at once; there is nobody to await its end.
            drop(handle.stop(false));
        }
    }
}

/// A free port of 127.0.0.1, and its origin.
pub fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on 127.0.0.1");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, origin)
}

/// Runs the stand-in, whatever runtime calls this, on a thread with an actix system of its own.
pub fn run<P: Psa>(psa: &Arc<P>, listeners: Vec<TcpListener>, courier: Courier) -> Running {
    let data = web::Data::from(Arc::clone(psa));
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("fake-psa".to_owned())
        .spawn(move || {
            let outcome: io::Result<()> = actix_web::rt::System::new().block_on(async move {
                actix_web::rt::spawn(courier.deliver_all());
                let mut servers = Vec::new();
                for listener in listeners {
                    servers.push(start(listener, &data)?);
                }
                let handles: Vec<ServerHandle> =
                    servers.iter().map(actix_web::dev::Server::handle).collect();
                let _ = sender.send(handles);
                futures_util::future::try_join_all(servers).await?;
                Ok(())
            });
            drop(outcome);
        })
        .expect("a thread");
    let handles = receiver.recv().expect("the stand-in starts");
    Running { handles }
}

fn start<P: Psa>(listener: TcpListener, data: &web::Data<P>) -> io::Result<actix_web::dev::Server> {
    let data = data.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .default_service(web::to(serve::<P>))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

async fn serve<P: Psa>(request: HttpRequest, body: Bytes, psa: web::Data<P>) -> HttpResponse {
    let psa = psa.into_inner();
    let desk = psa.desk();
    let path_and_query = request.uri().to_string();
    let decoded = percent_decoded(&path_and_query);
    let number = desk.log.arrived(LoggedRequest {
        method: request.method().to_string(),
        path_and_query,
        decoded: decoded.clone(),
        body: body.clone(),
        status: 0,
        at: Instant::now(),
        answered_at: None,
    });
    let mut call = Call::read(&request, body);
    let response = match psa.enter(&call) {
        Err(refusal) => refusal.into_response(),
        Ok(thread) => {
            desk.gate.pass(&decoded).await;
            let delay = desk.delay_ms.load(Ordering::Relaxed);
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            let response = play(psa.as_ref(), &mut call, &decoded).await;
            drop(thread);
            response
        }
    };
    desk.log.answered(number, response.status().as_u16());
    response
}

async fn play<P: Psa>(psa: &P, call: &mut Call, decoded: &str) -> HttpResponse {
    let desk = psa.desk();
    let path = decoded.split('?').next().unwrap_or_default().to_owned();
    let Some(fault) = desk.faults.take(&call.method, decoded) else {
        let reply = limited(psa, call);
        if desk.faults.repeats() {
            desk.keep_reply(path, &reply);
        }
        return reply.into_response();
    };
    let changed = |names: Vec<String>, with: Option<Value>| {
        change_rows(limited(psa, call), |row| {
            for name in &names {
                match &with {
                    Some(value) => {
                        row.insert(name.clone(), value.clone());
                    }
                    None => {
                        row.remove(name);
                    }
                }
            }
        })
    };
    match fault {
        Fault::Status {
            status,
            retry_after,
            body,
        } => status_reply(psa, status, retry_after, body).into_response(),
        Fault::Html(status) => Reply::html(status, "Service Unavailable").into_response(),
        Fault::Json(value) => Reply::json(200, &value).into_response(),
        Fault::Hang => std::future::pending().await,
        Fault::Reset => reset(),
        Fault::DropAfterEffect => {
            drop(limited(psa, call));
            reset()
        }
        Fault::Truncate(bytes) => truncated(limited(psa, call).into_response(), bytes).await,
        Fault::Slow { millis_per_kb } => {
            slow(limited(psa, call).into_response(), millis_per_kb).await
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(delay).await;
            limited(psa, call).into_response()
        }
        Fault::RepeatPage => desk
            .last_reply(&path)
            .unwrap_or_else(|| limited(psa, call))
            .into_response(),
        Fault::EmptyPage => without_rows(limited(psa, call)).into_response(),
        Fault::ShortPage(rows) => {
            call.short_page = Some(rows);
            limited(psa, call).into_response()
        }
        Fault::Nulls(names) => changed(names, Some(Value::Null)).into_response(),
        Fault::Without(names) => changed(names, None).into_response(),
        Fault::Before(effect) => {
            psa.effect(&effect);
            limited(psa, call).into_response()
        }
    }
}

fn limited<P: Psa>(psa: &P, call: &Call) -> Reply {
    let desk = psa.desk();
    if psa.counts(call) {
        let mut limiter = desk.limiter.lock().expect("limiter");
        if let Some(limit) = limiter.count(Instant::now()) {
            let wait = limit.retry_after.map(|seconds| seconds.to_string());
            let mut reply = psa.error(429);
            reply.headers.retain(|(name, _)| *name != "Retry-After");
            return match wait {
                Some(wait) => reply.with("Retry-After", wait),
                None => reply,
            };
        }
    }
    psa.answer(call)
}
