//! A Postgres server on a free port of the loopback interface, with its own data directory.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

/// The time limit of each step.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server, which is stopped when the value is dropped.
pub(crate) struct Server {
    binaries: PathBuf,
    databases: AtomicU32,
    directory: TempDir,
    port: u16,
    process: Mutex<Option<Child>>,
}

impl Server {
    /// Returns the server that the tests of this process share: started by the first one, stopped with the last one.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a server for one test, which may stop and restart it.
    pub(crate) fn start() -> Self {
        let (binaries, directory) = (binaries(), tempfile::tempdir().unwrap());
        if is_root() {
            let (user, group) = (id("-u"), id("-g"));
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        let mut server = Self { binaries, databases: AtomicU32::new(0), directory, port: 0, process: Mutex::new(None) };
        let data = server.data();
        let initdb = server.command("initdb").arg("-D").arg(data).args(INITDB).output().unwrap();
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        for _ in 0..5 {
            // Another process may take the port before the server does.
            server.port = free_port();
            if server.try_launch() {
                return server;
            }
        }
        panic!("the server did not start:\n{}", server.log());
    }

    /// Creates a database, and returns its URL. Its default collation is not the order of bytes, if Postgres supports ICU.
    pub(crate) async fn database(&self) -> String {
        let name = format!("keys_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        let with_icu = format!("{create} LOCALE_PROVIDER icu ICU_LOCALE 'en-US'");
        if connection.execute(with_icu.as_str()).await.is_err() {
            connection.execute(create.as_str()).await.unwrap();
        }
        self.url(&name)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Stops after a message to every client.
    pub(crate) fn stop(&self) {
        self.terminate("INT");
    }

    /// Stops at once, as in a crash.
    pub(crate) fn kill(&self) {
        self.terminate("QUIT");
    }

    /// Starts again on the same port.
    pub(crate) fn restart(&self) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.try_launch() {
            assert!(Instant::now() < deadline, "the server did not start again:\n{}", self.log());
        }
    }

    /// Stops responding, with all connections open.
    pub(crate) fn pause(&self) {
        self.signal_all("STOP");
    }

    /// Continues after a pause.
    pub(crate) fn resume(&self) {
        self.signal_all("CONT");
    }

    fn terminate(&self, signal: &str) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut child) = process.take() else { return };
        send(signal, child.id());
        if wait(&mut child).is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn signal_all(&self, signal: &str) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = &*process else { return };
        // First the one that starts the others.
        send(signal, child.id());
        children(child.id()).into_iter().for_each(|id| send(signal, id));
    }

    fn try_launch(&self) -> bool {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        postgres.arg("-k").arg(self.directory.path()).args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        let mut child = postgres.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if self.is_ready() {
                *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
                return true;
            }
            sleep(POLL);
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    fn is_ready(&self) -> bool {
        let mut probe = Command::new(self.binaries.join("pg_isready"));
        probe.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).status().unwrap().success()
    }

    /// A command for a program of Postgres, not as root, which Postgres refuses.
    fn command(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.resume();
        self.kill();
    }
}

const INITDB: [&str; 6] = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];

const POLL: Duration = Duration::from_millis(20);

fn binaries() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    let has_all = |folder: &PathBuf| ["initdb", "pg_isready", "postgres"].iter().all(|name| folder.join(name).exists());
    folders.into_iter().find(has_all).expect("Postgres is installed")
}

/// Returns a port on which nothing listened a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

pub(crate) fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().expect("there is a user named postgres")
}

fn send(signal: &str, process: u32) {
    // The process may have exited already.
    let _ = Command::new("kill").arg(format!("-{signal}")).arg(process.to_string()).stderr(Stdio::null()).status();
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        match child.try_wait().unwrap() {
            Some(status) => return Some(status),
            None => sleep(POLL),
        }
    }
    None
}

fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).ok()?;
    // `pid (name) state parent …`; the name may contain anything.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
