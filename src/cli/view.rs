//! `karat view`: the page of a run in a browser.
//!
//! The page is served to this machine alone, at an address that cannot be guessed: other programs of the machine and pages
//! of other sites cannot read what a model answered.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::conclude::{baseline_of, judged};
use super::form::{Told, html};
use super::lines::Output;
use super::signals::{Signals, WallArgs};
use super::store_args::{BaselineArgs, Chosen, Opened, StoreArgs, Wanted};
use super::{Exit, terminal};
use crate::compare::Without;
use crate::error::{Error, Kind, Result};
use crate::report::html::policy;

/// Arguments of `karat view`.
#[derive(clap::Args)]
pub struct Args {
    /// The run: a run folder, a run id, `latest` or SUITE/latest, the name of a baseline, a label, or git:REF:PATH.
    #[arg(default_value = "latest")]
    run: String,
    /// The suite, by its name, file or folder, where the run's name alone does not tell it.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    #[command(flatten)]
    baseline: BaselineArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// Write the page to this file instead, and stop.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The port (default: one that is free).
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    port: u16,
    /// Open no browser, only tell the address.
    #[arg(long)]
    no_open: bool,
}

/// Bytes of a request that are looked at; a browser's fits many times.
const REQUEST: u64 = 16 << 10;
/// How often the interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long a connection may take.
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
    let page = html(&Told { report: judged.report(&run), run: &run, base: base.as_ref() })?;
    if let Some(mut output) = out {
        output.bytes(&page)?;
        output.close()?;
        return Ok(Exit::Passed);
    }
    serve(&page, &args)
}

/// Serves the page until the user ends it.
fn serve(page: &[u8], args: &Args) -> Result<Exit> {
    let failed = |e| Error::io("listen on", format!("127.0.0.1:{}", args.port), e);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let host = listener.local_addr().map_err(failed)?.to_string();
    let path = format!("/{}", token()?);
    let address = format!("http://{host}{path}");
    terminal::lines([&address])?;
    let signals = Signals::listen(&WallArgs::default())?;
    if !args.no_open && open::that_detached(&address).is_err() {
        say!("note: no browser could be opened; the address is above");
    }
    say!("Ctrl-C ends it");
    let site = Site { page, host: &host, path: &path };
    loop {
        match signals.check() {
            Err(error) if error.kind() == Kind::Interrupted => return Ok(Exit::Passed),
            other => other?,
        }
        match listener.accept() {
            // A browser that went away is none of the page's business.
            Ok((stream, _)) => drop(site.answer(stream)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(TICK),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// 128 random bits in hex, from the system.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal("make an address").caused_by(e))?;
    Ok(crate::engine::identity::hex(&bytes))
}

/// The one page that is served.
struct Site<'a> {
    page: &'a [u8],
    host: &'a str,
    path: &'a str,
}

impl Site<'_> {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request = BufReader::new((&stream).take(REQUEST));
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if request.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            lines.push(line);
        }
        let (status, page) = self.choose(&lines);
        let body = if page { self.page } else { status.as_bytes() };
        let kind = if page { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nContent-Security-Policy: {}; \
             frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len(),
            policy()
        );
        (&stream).write_all(head.as_bytes())?;
        (&stream).write_all(body)
    }

    /// The status of the answer, and whether it is the page: to a GET of its path by its own name alone. Another name in
    /// `Host` is a site whose name was bent to this address.
    fn choose(&self, lines: &[String]) -> (&'static str, bool) {
        let mut first = lines.first().map(|line| line.split_whitespace()).into_iter().flatten();
        let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let named = |line: &String| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_address_gets_the_page() {
        let site = Site { page: b"page", host: "127.0.0.1:9", path: "/secret" };
        let ask = |text: &str| site.choose(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(ask("GET /secret HTTP/1.1\nhost: 127.0.0.1:9\n"), ("200 OK", true));
        assert!(!ask("GET /secret HTTP/1.1\nHost: evil.example:9\n").1);
        assert!(!ask("GET /secret HTTP/1.1\n").1);
        assert!(!ask("GET / HTTP/1.1\nHost: 127.0.0.1:9\n").1);
        assert_eq!(ask("POST /secret HTTP/1.1\nHost: 127.0.0.1:9\n").0, "405 Method Not Allowed");
        assert!(!ask("").1);
        let (one, two) = (token().unwrap(), token().unwrap());
        assert!(one.len() == 32 && one != two);
    }
}
