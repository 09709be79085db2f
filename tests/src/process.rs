//! A process of the product: one of the installation's, or the only one.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::app::PATIENCE;

/// A running process and what it has logged. Gone with this value, as by `kill -9`.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Where it listens.
    pub address: String,
}

impl Process {
    /// Starts it and waits until it listens.
    pub async fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("stderr");
        let (listening, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains("listening")
                    && let Some(address) = address_in(&line)
                {
                    let _nobody_waits = listening.send(address);
                }
                let mut log = sink.lock().expect("log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let up = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await;
        let Ok(Some(address)) = up else {
            drop(child.kill());
            panic!("the server did not come up: {}", log.lock().expect("log"));
        };
        Self {
            child,
            log,
            address,
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Waits until it has logged this.
    pub async fn wait_for_log(&self, part: &str) {
        let begun = Instant::now();
        while !self.log().contains(part) {
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for {part:?} in the log: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its number on this machine.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Waits until it is stopped, as by SIGSTOP.
    pub async fn wait_until_stopped(&self) {
        let status = format!("/proc/{}/stat", self.child.id());
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&status).expect("a process");
            // After the name, which stands in parentheses.
            let state = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
            if state.starts_with('T') {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not stopped: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Waits until it has ended by itself, as it does at a failpoint; its exit code.
    pub async fn wait_for_end(&mut self, patience: Duration) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(
                begun.elapsed() < patience,
                "the server did not end: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of {} ---\n{}", self.address, self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The address in a line about listening, in either form of the log.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("address")?;
    let address = rest.trim_start_matches(['=', '"', ':', ' ']);
    let end = address.find(|c: char| !(c.is_ascii_digit() || ".:[]".contains(c)));
    let address = address.get(..end.unwrap_or(address.len()))?;
    (!address.is_empty()).then(|| address.to_owned())
}
