//! The real server on an SQLite file, as an operator would start it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tenantry_tests::{
    app::{CLIENT_ID, CLIENT_SECRET, binary},
    fake_microsoft::FakeMicrosoft,
    psa_client::ALLOW_STAND_INS,
};

/// The server's settings and where it runs.
pub struct Setting<'a> {
    pub microsoft: &'a FakeMicrosoft,
    pub folder: &'a Path,
    pub port: u16,
}

impl Setting<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TENANTRY_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(self.folder)
            .env(
                "TENANTRY_DATABASE_URL",
                format!("sqlite://{}", self.folder.join("tenantry.db").display()),
            )
            .env("TENANTRY_LISTEN", format!("127.0.0.1:{}", self.port))
            .env(
                "TENANTRY_PUBLIC_URL",
                format!("http://localhost:{}", self.port),
            )
            .env("TENANTRY_MICROSOFT_CLIENT_ID", CLIENT_ID)
            .env("TENANTRY_MICROSOFT_CLIENT_SECRET", CLIENT_SECRET)
            .env(
                "TENANTRY_MICROSOFT_AUTHORITY_URL",
                self.microsoft.login_url(),
            )
            .env("TENANTRY_MICROSOFT_GRAPH_URL", self.microsoft.graph_url())
            // The PSAs are played on this machine.
            .env(ALLOW_STAND_INS.0, ALLOW_STAND_INS.1)
            .env("TENANTRY_LOG", "warn,tenantry=info");
        command
    }

    pub fn admin(&self, arguments: &[&str]) -> Result<Value> {
        let output = self
            .command(&[&["admin"], arguments].concat())
            .output()
            .context("the tenantry binary")?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Starts the server and waits until it listens. Its log goes to a file in the folder.
    pub fn serve(&self) -> Result<Server> {
        let mut child = self
            .command(&["serve"])
            .env("TENANTRY_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the tenantry binary")?;
        let stderr = child.stderr.take().context("the server's log")?;
        let mut log = std::fs::File::create(self.folder.join("server.log"))?;
        let (listening, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains("listening") {
                    let _nobody_waits = listening.send(());
                }
                let _disk_full = writeln!(log, "{line}");
            }
        });
        let mut server = Server { child };
        if heard.recv_timeout(Duration::from_secs(30)).is_err() {
            let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            server.stop()?;
            bail!("the server did not come up:\n{log}");
        }
        Ok(server)
    }
}

/// The server's process; it ends with this value.
pub struct Server {
    child: Child,
}

impl Server {
    pub fn stop(&mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        let _already_gone = Command::new("kill")
            .args(["-TERM", &pid])
            .stderr(Stdio::null())
            .status();
        self.child.wait().context("the server's end")?;
        Ok(())
    }

    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
    }
}
