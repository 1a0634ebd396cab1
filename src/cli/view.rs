//! `karat view`: the page of a run in a browser.
//!
//! The page is served to this machine alone, at an address that cannot be guessed: other programs of the machine and pages
//! of other sites cannot read what a model answered. Connections are answered at once; one that is slow or silent holds up no other.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::conclude::{baseline_of, judged};
use super::form::{ReportInput, html};
use super::lines::Output;
use super::signals::{Signals, WallArgs};
use super::store_args::{BaselineArgs, Chosen, Opened, StoreArgs, Wanted};
use super::{Exit, terminal};
use crate::compare::Without;
use crate::error::{Error, Kind, Result};
use crate::report::html::policy;

/// Arguments of `karat view`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat view latest\n  karat view latest --out report.html")]
pub struct Args {
    /// The run: a run folder, a run id, `latest` or SUITE/latest, the name of a baseline, a label, or git:REF:PATH.
    #[arg(default_value = "latest")]
    run: String,
    /// The suite, by its name, file or folder, where the run's name alone does not tell it.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Write the page to this file instead, and stop.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The port (default: one that is free).
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    port: u16,
    /// Open no browser, only tell the address.
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    baseline: BaselineArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Bytes of a request that are looked at; a browser's fits many times.
const REQUEST: usize = 16 << 10;
/// Connections that are answered at once; a browser opens six.
const CONNECTIONS: usize = 32;
/// How often the interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long a connection may take to ask, and to take a part of the page.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let out = args.out.as_deref().map(Output::open).transpose()?;
    let Opened { run, store } = args.store.place(args.suite.as_deref())?.open(&args.run)?;
    let manifest = run.manifest();
    let (names, class) = baseline_of(manifest);
    let wanted = Wanted::of_run(&run, (&names, class))?;
    let Chosen { run: base, without, .. } = args.baseline.open(&args.store, &store, &wanted)?;
    // A run needs no comparison with itself.
    let itself = base.as_ref().is_some_and(|base| base.manifest().run_id == manifest.run_id);
    let (base, without) = if itself { (None, Without::NotAsked) } else { (base, without) };
    let judged = judged(base.as_ref(), &without, &run)?;
    let page = html(&ReportInput { report: judged.report(&run), run: &run, base: base.as_ref() })?;
    if let Some(mut output) = out {
        output.bytes(&page)?;
        output.close()?;
        return Ok(Exit::Passed);
    }
    serve(page, &args)
}

/// Serves the page until the user ends it.
fn serve(page: Vec<u8>, args: &Args) -> Result<Exit> {
    let failed = |e| Error::io("listen on", format!("127.0.0.1:{}", args.port), e);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let host = listener.local_addr().map_err(failed)?.to_string();
    let path = format!("/{}", token()?);
    let address = format!("http://{host}{path}");
    terminal::lines([&address])?;
    let signals = Signals::listen(&WallArgs::default())?;
    // Dropped at the end, which removes the file.
    let door = (!args.no_open).then(|| Door::make(&address).and_then(|door| door.open().map(|()| door)));
    if matches!(door, Some(Err(_))) {
        say!("note: no browser could be opened; the address is above");
    }
    say!("Ctrl-C ends it");
    let site = Arc::new(Site { page, host, path, connections: AtomicUsize::new(0) });
    loop {
        match signals.check() {
            Err(error) if error.kind() == Kind::Interrupted => return Ok(Exit::Passed),
            other => other?,
        }
        match listener.accept() {
            Ok((stream, _)) => Site::receive(&site, stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(TICK),
            // A browser that went away is none of the page's business.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => (),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// A file that sends a browser to the address. A browser is given the file, since everybody on the machine can read the arguments of
/// its process, and only the user can read the file.
struct Door(NamedTempFile);

impl Door {
    fn make(address: &str) -> std::io::Result<Self> {
        // The user's own folder, where the system gives one; files of `tempfile` are readable by the user alone.
        let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
        let mut builder = tempfile::Builder::new();
        builder.prefix("karat-view-").suffix(".html");
        let mut file =
            folder.and_then(|folder| builder.tempfile_in(folder).ok()).map_or_else(|| builder.tempfile(), Ok)?;
        // The address is of letters, digits, dots, colons and slashes.
        writeln!(file, "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=\"0; url={address}\">")?;
        file.flush()?;
        Ok(Self(file))
    }

    fn open(&self) -> std::io::Result<()> {
        open::that_detached(self.0.path())
    }
}

/// 128 random bits in hex, from the system.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal("failed to make an address").caused_by(e))?;
    Ok(crate::hash::hex(&bytes))
}

/// The one page that is served.
struct Site {
    page: Vec<u8>,
    host: String,
    path: String,
    /// Connections that are being answered.
    connections: AtomicUsize,
}

impl Site {
    /// Answers a connection on a thread of its own; closes it unanswered where too many are open.
    fn receive(site: &Arc<Self>, stream: TcpStream) {
        let site = Arc::clone(site);
        if site.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS {
            site.connections.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        // What fails is the connection's own, and ends with it.
        std::thread::spawn(move || {
            drop(site.answer(&stream));
            site.connections.fetch_sub(1, Ordering::AcqRel);
        });
    }

    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (status, page) = self.choose(&request(stream, Instant::now() + PATIENCE)?);
        let body = if page { &self.page } else { status.as_bytes() };
        let kind = if page { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Security-Policy: {}; \
             frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len(),
            policy()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    }

    /// The status of the answer, and whether it is the page: to a GET of its path by its own name alone. Another name in
    /// `Host` is a site whose name was bent to this address.
    fn choose(&self, request: &str) -> (&'static str, bool) {
        let lines: Vec<&str> = request.lines().collect();
        let mut first = lines.first().map(|line| line.split_whitespace()).into_iter().flatten();
        let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let named = |line: &&str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim() == self.host)
        };
        match (method, lines.iter().skip(1).find_map(named), path == self.path) {
            (_, None | Some(false), _) => ("421 Misdirected Request", false),
            ("GET", _, true) => ("200 OK", true),
            ("GET", _, false) => ("404 Not Found", false),
            _ => ("405 Method Not Allowed", false),
        }
    }
}

/// The head of a request, up to its empty line.
///
/// # Errors
/// It is not there in time, or longer than is looked at.
fn request(mut stream: &TcpStream, until: Instant) -> std::io::Result<String> {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && !head.windows(2).any(|end| end == b"\n\n") {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || head.len() > REQUEST {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            bytes => head.extend_from_slice(&part[..bytes]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_address_gets_the_page() {
        let (page, host, path) = (b"page".to_vec(), "127.0.0.1:9".to_owned(), "/secret".to_owned());
        let site = Site { page, host, path, connections: AtomicUsize::new(0) };
        let ask = |text: &str| site.choose(text);
        assert_eq!(ask("GET /secret HTTP/1.1\nhost: 127.0.0.1:9\n"), ("200 OK", true));
        assert!(!ask("GET /secret HTTP/1.1\nHost: evil.example:9\n").1);
        assert!(!ask("GET /secret HTTP/1.1\n").1);
        assert!(!ask("GET / HTTP/1.1\nHost: 127.0.0.1:9\n").1);
        assert_eq!(ask("POST /secret HTTP/1.1\nHost: 127.0.0.1:9\n").0, "405 Method Not Allowed");
        assert!(!ask("").1);
        let (one, two) = (token().unwrap(), token().unwrap());
        assert!(one.len() == 32 && one != two);
    }
    #[test]
    fn a_silent_connection_holds_up_nobody() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (page, path) = (b"page".to_vec(), "/secret".to_owned());
        let site = Arc::new(Site { page, host: address.to_string(), path, connections: AtomicUsize::new(0) });
        let connect = || {
            let client = TcpStream::connect(address).unwrap();
            Site::receive(&site, listener.accept().unwrap().0);
            client
        };
        let silent: Vec<TcpStream> = (0..CONNECTIONS - 1).map(|_| connect()).collect();
        let mut asking = connect();
        // Those that came before are silent for longer than this test waits.
        asking.set_read_timeout(Some(PATIENCE / 2)).unwrap();
        write!(asking, "GET /secret HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\npage"), "{answer}");
        drop(silent);
    }

    #[test]
    fn one_connection_too_many_is_closed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let full = AtomicUsize::new(CONNECTIONS);
        let site = Arc::new(Site { page: Vec::new(), host: String::new(), path: String::new(), connections: full });
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Site::receive(&site, listener.accept().unwrap().0);
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(site.connections.load(Ordering::Acquire), CONNECTIONS);
    }

    #[test]
    fn a_browser_is_not_told_the_address_by_its_arguments() {
        let door = Door::make("http://127.0.0.1:9/secret").unwrap();
        assert!(!door.0.path().to_string_lossy().contains("secret"));
        assert!(std::fs::read_to_string(door.0.path()).unwrap().contains("url=http://127.0.0.1:9/secret\""));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&door.0.as_file().metadata().unwrap().permissions());
            assert_eq!(mode & 0o077, 0);
        }
    }
}
