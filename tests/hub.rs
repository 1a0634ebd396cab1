//! The hub from the outside: the real hf-hub code against a stand-in on the loopback address.
//!
//! The environment (`HF_HOME`, `HF_ENDPOINT`, …) belongs to the whole process, so everything is one test, step by step.
#![cfg(feature = "hub")]
#![allow(unsafe_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use karat::engine::hub::registry;
use karat::engine::hub::{MODEL_FILES, pull};
use karat::engine::models::model_folder::ModelFolder;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secret_that_must_not_show";

/// How the stand-in behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Fine,
    /// The body of the weights ends early; the connection closes.
    CutOff,
    /// An error page with status 403 comes in the place of the weights, after a good answer to HEAD.
    ErrorPage,
}

struct Hub {
    mood: Mutex<Mood>,
    requests: AtomicUsize,
    log: Mutex<Vec<String>>,
    files: BTreeMap<&'static str, Vec<u8>>,
}

impl Hub {
    fn start() -> (Arc<Self>, String) {
        let files = BTreeMap::from([
            ("config.json", b"{\"model_type\": \"llama\"}".to_vec()),
            ("tokenizer.json", b"{}".to_vec()),
            ("model.safetensors", vec![7; 300_000]),
            ("1_Pooling/config.json", b"{}".to_vec()),
            ("pytorch_model.bin", vec![1; 10]),
            ("onnx/config.json", b"{}".to_vec()),
        ]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let hub = Arc::new(Self {
            mood: Mutex::new(Mood::Fine),
            requests: AtomicUsize::new(0),
            log: Mutex::new(Vec::new()),
            files,
        });
        let serving = Arc::clone(&hub);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hub = Arc::clone(&serving);
                std::thread::spawn(move || hub.serve(stream));
            }
        });
        (hub, address)
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(line.trim().to_owned());
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let path = target.split('?').next().unwrap();
        let _ = self.answer(&mut stream, &method, path, &headers);
        let _ = stream.flush();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = reader.read_to_end(&mut Vec::new());
    }

    fn answer(
        &self,
        out: &mut TcpStream,
        method: &str,
        path: &str,
        headers: &BTreeMap<String, String>,
    ) -> std::io::Result<()> {
        if path.contains("gated") && headers.get("authorization") != Some(&format!("Bearer {TOKEN}-granted")) {
            let (code, error) =
                if headers.contains_key("authorization") { (403, "Forbidden") } else { (401, "Unauthorized") };
            return respond(
                out,
                &format!("{code} {error}"),
                "X-Error-Code: GatedRepo\r\n",
                b"{\"error\": \"gated\"}",
                method,
            );
        }
        if let Some(rest) = path.strip_prefix("/api/models/org/") {
            let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
            if name == "missing" {
                return respond(out, "404 Not Found", "X-Error-Code: RepoNotFound\r\n", b"{\"error\": \"no\"}", method);
            }
            if let Some(revision) = rest.strip_prefix("revision/") {
                if revision != "main" && revision != COMMIT {
                    return respond(
                        out,
                        "404 Not Found",
                        "X-Error-Code: RevisionNotFound\r\n",
                        b"{\"error\": \"no\"}",
                        method,
                    );
                }
                let info =
                    format!("{{\"id\": \"org/{name}\", \"sha\": \"{COMMIT}\", \"private\": false, \"tags\": []}}");
                return respond(out, "200 OK", "Content-Type: application/json\r\n", info.as_bytes(), method);
            }
            if rest == format!("tree/{COMMIT}") {
                let entries: Vec<String> = self
                    .files
                    .iter()
                    .map(|(path, bytes)| {
                        format!(
                            "{{\"type\": \"file\", \"oid\": \"{}\", \"size\": {}, \"path\": \"{path}\"}}",
                            etag(path),
                            bytes.len()
                        )
                    })
                    .collect();
                let tree = format!("[{}]", entries.join(", "));
                return respond(out, "200 OK", "Content-Type: application/json\r\n", tree.as_bytes(), method);
            }
        }
        let resolved =
            path.split_once(&format!("/resolve/{COMMIT}/")).and_then(|(_, file)| self.files.get_key_value(file));
        let Some((name, bytes)) = resolved else {
            return respond(out, "404 Not Found", "X-Error-Code: EntryNotFound\r\n", b"", method);
        };
        let extra = format!("ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\nAccept-Ranges: bytes\r\n", etag(name));
        let mood = *self.mood.lock().unwrap();
        if *name == "model.safetensors" && method == "GET" && mood != Mood::Fine {
            if mood == Mood::ErrorPage {
                return respond(out, "403 Forbidden", "", b"<html>expired</html>", method);
            }
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n", bytes.len())?;
            return out.write_all(&bytes[..1000]);
        }
        if let Some(from) =
            headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok())
        {
            let from: usize = from;
            let extra = format!("{extra}Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len());
            return respond(out, "206 Partial Content", &extra, &bytes[from..], method);
        }
        respond(out, "200 OK", &extra, bytes, method)
    }
}

fn etag(path: &str) -> String {
    path.bytes().fold(17_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())).to_string()
}

fn respond(out: &mut TcpStream, status: &str, extra: &str, body: &[u8], method: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n", body.len())?;
    if method == "HEAD" { Ok(()) } else { out.write_all(body) }
}

fn set(name: &str, value: impl AsRef<std::ffi::OsStr>) {
    // SAFETY: the one test of this process; the stand-in's threads do not look at the environment.
    unsafe { std::env::set_var(name, value) }
}

fn unset(name: &str) {
    // SAFETY: as above.
    unsafe { std::env::remove_var(name) }
}

fn leftovers(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names
}

#[test]
fn pulling_caching_and_every_refusal() {
    let home = tempfile::tempdir().unwrap();
    let (hub, address) = Hub::start();
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
        unset(name);
    }
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        unset(name);
    }
    set("HF_HOME", home.path());
    set("HF_ENDPOINT", &address);
    let requests = || hub.requests.load(Ordering::SeqCst);
    let mood = |mood: Mood| *hub.mood.lock().unwrap() = mood;

    // A body that ends early leaves nothing that looks whole.
    mood(Mood::CutOff);
    let error = pull("org/model", "main", MODEL_FILES).unwrap_err();
    assert!(error.hint().is_some() && error.message().contains("broke off"), "{error:?}");
    let folder = home.path().join("hub/models--org--model");
    assert!(!folder.join("snapshots").join(COMMIT).join("model.safetensors").exists());
    assert!(!folder.join("refs/main").exists());
    // Nor does an error page in the place of the weights.
    mood(Mood::ErrorPage);
    let error = pull("org/model", "main", MODEL_FILES).unwrap_err();
    assert!(error.message().contains("20 of 300000 bytes"), "{error:?}");
    assert!(!leftovers(&folder.join("blobs")).contains(&etag("model.safetensors")));

    // A good pull, only what was wanted.
    mood(Mood::Fine);
    let snapshot = pull("org/model", "main", MODEL_FILES).unwrap();
    assert_eq!(snapshot, folder.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).unwrap(), vec![7; 300_000]);
    assert_eq!(leftovers(&snapshot), ["1_Pooling", "config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(std::fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);

    // Through an entry of the registry, which pulls the same and checks it.
    let project = tempfile::tempdir().unwrap();
    std::fs::create_dir(project.path().join("models")).unwrap();
    let hashes = ModelFolder::new(&snapshot).hashes().unwrap();
    assert_eq!(hashes.len(), 4);
    let files: String = hashes.iter().map(|(name, hash)| format!("  {name}: \"{hash}\"\n")).collect();
    let entry = format!(
        "name: far\nversion: \"1\"\nkind: generator\ndescription: x\nsource: {{hub: org/entry, revision: {COMMIT}}}\n\
         files:\n{files}tokenizer: \"{}\"\ndtype: f16\nparameters: 1\nlicence: MIT\n",
        hashes["tokenizer.json"]
    );
    let write = |text: &str| std::fs::write(project.path().join("models/far@1.yaml"), text).unwrap();
    write(&entry.replace(&hashes["config.json"], &hashes["tokenizer.json"]));
    let error = registry::open(project.path(), "far", "1", None).unwrap_err();
    assert!(error.message().contains("`config.json` has the SHA-256"), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("pull again")), "{error:?}");
    write(&entry);
    let opened = registry::open(project.path(), "far", "1", None).unwrap();
    assert_eq!(opened.path(), home.path().join("hub/models--org--entry/snapshots").join(COMMIT));
    assert_eq!(opened.hashes().unwrap(), hashes);

    // From the cache: no request, by branch and by commit, also offline.
    let before = requests();
    assert_eq!(pull("org/model", "main", MODEL_FILES).unwrap(), snapshot);
    assert_eq!(pull("org/model", COMMIT, MODEL_FILES).unwrap(), snapshot);
    set("HF_HUB_OFFLINE", "1");
    assert_eq!(pull("org/model", "main", MODEL_FILES).unwrap(), snapshot);
    let error = pull("org/other", "main", MODEL_FILES).unwrap_err();
    assert!(error.message().contains("HF_HUB_OFFLINE"), "{error:?}");
    assert_eq!(requests(), before);
    unset("HF_HUB_OFFLINE");

    // A cached copy that lacks its weights is completed.
    std::fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    assert_eq!(pull("org/model", "main", MODEL_FILES).unwrap(), snapshot);
    assert!(snapshot.join("model.safetensors").is_file());

    // Refusals.
    let error = pull("org/missing", "main", MODEL_FILES).unwrap_err();
    assert!(error.message().contains("no such repository") && error.hint().is_some(), "{error:?}");
    let error = pull("org/model", "v9", MODEL_FILES).unwrap_err();
    assert!(error.message().contains("no revision `v9`"), "{error:?}");
    let error = pull("org/gated", "main", MODEL_FILES).unwrap_err();
    assert!(error.message().contains("wants a token") && error.hint().is_some(), "{error:?}");
    set("HF_TOKEN", TOKEN);
    let error = pull("org/gated", "main", MODEL_FILES).unwrap_err();
    assert!(error.message().contains("may not read"), "{error:?}");
    assert!(!format!("{error:?} {error} {}", error.chain()).contains(TOKEN), "a token in an error");
    unset("HF_TOKEN");
    // A token from the file that `hf auth login` writes.
    std::fs::write(home.path().join("token"), format!("{TOKEN}-granted\n")).unwrap();
    assert!(pull("org/gated", "main", MODEL_FILES).unwrap().join("config.json").is_file());

    // Nobody listens.
    set("HF_ENDPOINT", "http://127.0.0.1:9");
    let error = pull("org/far", "main", MODEL_FILES).unwrap_err();
    assert!(error.message().contains("cannot be reached") && error.hint().is_some(), "{error:?}");
}
