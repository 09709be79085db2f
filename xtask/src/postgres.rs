//! A real PostgreSQL server for one run of the tests: an empty cluster in a temporary folder, on a
//! unix socket there and a free loopback port.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{DirBuilderExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// `cargo xtask postgres -- COMMAND`: the command with a cluster in its environment.
pub fn run(command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    let cluster = Cluster::start()?;
    let mut child = Command::new(program);
    child
        .args(arguments)
        .env("TENANTRY_TEST_POSTGRES_URL", cluster.url());
    child.env("TENANTRY_TEST_BINARY", cargo::tenantry()?);
    let status = cargo::run(&mut child)?;
    drop(cluster);
    Ok(cargo::exit_code(status))
}

/// A running cluster. Dropping it stops the server and removes its folder; so does the death of this
/// process in any way, Ctrl-C and `kill -9` included (see [`Cluster::keeper`]).
pub struct Cluster {
    port: u16,
    keeper: Option<Child>,
}

impl Cluster {
    /// Finds or installs PostgreSQL, makes a cluster and waits until it takes connections.
    pub fn start() -> Result<Self> {
        let programs = Programs::find_or_install()?;
        let runner = Runner::choose()?;
        let mut refusal = anyhow::anyhow!("no attempt was made");
        // The port is free when we ask, and another process may take it before the server does.
        for _attempt in 0..3 {
            match Self::start_on_free_port(&programs, &runner) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => refusal = error,
            }
        }
        Err(refusal.context("PostgreSQL for the tests did not start"))
    }

    /// The superuser's URL. Passwords are not asked for on loopback.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn start_on_free_port(programs: &Programs, runner: &Runner) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let folder = std::env::temp_dir().join(format!("tenantry-postgres-{port}"));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        runner.give(&folder)?;
        let keeper = Self::keeper(programs, runner, &folder)?;
        let cluster = Self {
            port,
            keeper: Some(keeper),
        };

        let data = folder.join("data");
        let mut initdb = runner.command(&programs.program("initdb"));
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
        ]);
        initdb.args(["--no-sync", "--pgdata"]).arg(&data);
        output(&mut initdb)?;

        let mut settings = fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))?;
        writeln!(settings, "{}", settings_of(port, &folder))?;
        drop(settings);

        let log = folder.join("log");
        let mut start = runner.command(&programs.program("pg_ctl"));
        start
            .args(["start", "--wait", "--timeout=60", "--silent", "--pgdata"])
            .arg(&data);
        start.arg("--log").arg(&log);
        // The server keeps these streams: inheriting ours would keep a caller's pipe open.
        start.stdout(Stdio::null()).stderr(Stdio::null());
        if !cargo::run(&mut start)?.success() {
            bail!("{}", fs::read_to_string(&log).unwrap_or_default().trim());
        }
        Ok(cluster)
    }

    /// A shell that outlives us: it waits for the end of its standard input, which is a pipe that only
    /// we hold, then stops the server and removes the folder. In a process group of its own, so that
    /// Ctrl-C does not reach it or the server.
    fn keeper(programs: &Programs, runner: &Runner, folder: &Path) -> Result<Child> {
        let script = r#"while read -r line; do :; done
            if [ -f "$2/data/postmaster.pid" ]; then
                "$1" stop --pgdata "$2/data" --mode immediate --silent
            fi
            rm -rf "$2""#;
        let mut shell = runner.command(Path::new("/bin/sh"));
        shell
            .args(["-c", script, "keeper"])
            .arg(programs.program("pg_ctl"))
            .arg(folder);
        shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        shell.spawn().context("cannot start a shell")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            if let Err(error) = keeper.wait() {
                eprintln!("xtask: the test database may still run: {error}");
            }
        }
    }
}

/// The cluster lives for minutes and is thrown away: nothing of it needs to survive a power cut.
fn settings_of(port: u16, folder: &Path) -> String {
    format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
         max_connections = 300\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n",
        folder.display()
    )
}

/// The folder of `initdb`, `pg_ctl` and `postgres`.
struct Programs(PathBuf);

impl Programs {
    fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::find() {
            return Ok(found);
        }
        let apt_get = Path::new("/usr/bin/apt-get");
        if !(is_root()? && apt_get.exists()) {
            bail!(
                "PostgreSQL was not found. Install its server (Debian: apt-get install postgresql) \
                 or put its initdb on the PATH, then run this again."
            );
        }
        eprintln!("xtask: PostgreSQL was not found: installing Debian's postgresql");
        for arguments in [
            &["update", "-q"][..],
            &["install", "-qy", "--no-install-recommends", "postgresql"],
        ] {
            let mut install = Command::new(apt_get);
            install
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .stdin(Stdio::null());
            // What a command prints on standard output is for its caller: apt's talk is not.
            install.stdout(std::io::stderr());
            cargo::must(&mut install)?;
        }
        Self::find()
            .context("postgresql is installed, yet its initdb is not under /usr/lib/postgresql")
    }

    /// Debian's folders (the newest version first), then the PATH, then where `pg_config` points.
    fn find() -> Option<Self> {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                Some((
                    entry.file_name().to_str()?.parse().ok()?,
                    entry.path().join("bin"),
                ))
            })
            .collect();
        versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let pg_config = Command::new("pg_config").arg("--bindir").output().ok();
        versions
            .into_iter()
            .map(|(_, folder)| folder)
            .chain(std::env::split_paths(&path))
            .chain(pg_config.map(|out| String::from_utf8_lossy(&out.stdout).trim().into()))
            .find(|folder| {
                ["initdb", "pg_ctl", "postgres"]
                    .iter()
                    .all(|name| folder.join(name).exists())
            })
            .map(Self)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Who runs the server: ourselves, or an unprivileged user when we are root, because PostgreSQL
/// refuses to run as root.
struct Runner(Option<(u32, u32)>);

impl Runner {
    fn choose() -> Result<Self> {
        if !is_root()? {
            return Ok(Self(None));
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read the list of users")?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| user(&users, name))
            .map(|ids| Self(Some(ids)))
            .context(
                "PostgreSQL does not run as root, and there is neither a user postgres nor nobody",
            )
    }

    /// Makes the folder this user's own.
    fn give(&self, folder: &Path) -> Result<()> {
        if let Some((user, group)) = self.0 {
            chown(folder, Some(user), Some(group))?;
        }
        Ok(())
    }

    /// A command run by this user, from a folder that every user may enter.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

/// User and group id of a name in the text of `/etc/passwd`.
fn user(users: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = users
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    let user = fields.nth(1)?.parse().ok()?;
    Some((user, fields.next()?.parse().ok()?))
}

fn is_root() -> Result<bool> {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .context("cannot run `id -u`")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

/// Runs a command silently; what it said is shown when it fails.
fn output(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!(
            "{:?} failed: {}",
            command.get_program(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostgresql:x:1:2::/:\npostgres:x:105:113::/:/bin/sh\n";
        assert_eq!(user(users, "postgres"), Some((105, 113)));
        assert_eq!(user(users, "post"), None);
    }
}
