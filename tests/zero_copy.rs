//! Bytes of a segment are not copied on their way to a destination: what is allocated meanwhile is far less than they
//! are. A program of its own, as it counts every allocation in it.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "channel")]

use std::alloc::System;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use segcast::chunks::Chunks;
use segcast::destination::{Headers, Secret, Target, copy, ftp, http};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tempfile::TempDir;

#[allow(dead_code)]
#[path = "destinations/server.rs"]
mod server;

use server::{Server, free_port, installed, system};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One at a time: allocations of all threads are counted.
static ALONE: Mutex<()> = Mutex::new(());

const BODY_BYTES: usize = 50_000_000;
/// What the protocol may need beside the body: buffers of a connection, lists of slices.
const LIMIT_BYTES: usize = 4_000_000;

fn is_put_without_a_copy(target: &Target) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let destination = runtime.block_on(async { target.open() }).unwrap();
    let bytes = Bytes::from(vec![0x47; BODY_BYTES]);
    // As a pipe is read; as packets come from the network.
    for slice_bytes in [64 * 1024, 7 * 188] {
        let slices = (0..BODY_BYTES).step_by(slice_bytes);
        let body: Chunks = slices.map(|at| bytes.slice(at..BODY_BYTES.min(at + slice_bytes))).collect();
        runtime.block_on(destination.put("warm.ts", Bytes::from_static(b"connected").into())).unwrap();
        let region = Region::new(ALLOCATOR);
        runtime.block_on(destination.put("large.ts", body)).unwrap();
        let allocated = region.change().bytes_allocated;
        println!("{target}: {allocated} bytes allocated, slices of {slice_bytes}");
        assert!(allocated < LIMIT_BYTES, "{target}: {allocated} bytes, slices of {slice_bytes}");
    }
}

#[test]
fn a_folder_takes_segments_without_a_copy() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    is_put_without_a_copy(&Target::Copy(copy::Options::new(folder.path())));
}

#[test]
fn a_web_server_takes_segments_without_a_copy() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = nginx();
    is_put_without_a_copy(&Target::Http(http::Options {
        url: format!("http://{}", server.address()),
        auth: None,
        ca: None,
        is_insecure: false,
        headers: Headers::default(),
    }));
}

#[test]
fn an_ftp_server_takes_segments_without_a_copy() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = pyftpdlib();
    is_put_without_a_copy(&Target::Ftp(ftp::Options {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        directory: String::new(),
        user: "deploy".to_owned(),
        password: Secret::new("secret"),
        security: ftp::Security::Plain,
    }));
}

fn nginx() -> Server {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let path = folder.path().display();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let configuration = format!(
        "daemon off; worker_processes 1; pid {path}/pid; error_log stderr; {user} events {{}}
         http {{
            access_log off; client_max_body_size 0;
            client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
            uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
            server {{
                listen 127.0.0.1:{port}; root {path}/files;
                dav_methods PUT DELETE MKCOL; create_full_put_path on;
            }}
         }}"
    );
    std::fs::create_dir(folder.path().join("files")).unwrap();
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new(system("nginx"));
    command.arg("-p").arg(folder.path()).arg("-e").arg("stderr").arg("-c").arg(file);
    Server::start(command, port, folder)
}

fn pyftpdlib() -> Server {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let mut command = Command::new(installed("python"));
    let options = ["-m", "pyftpdlib", "-w", "-i", "127.0.0.1", "-u", "deploy", "-P", "secret", "-p"];
    command.args(options).arg(port.to_string()).arg("-d").arg(folder.path());
    Server::start(command, port, folder)
}
