//! A headless Chromium, driven over its debugging pipe: no crate, no port, no
//! web socket, only JSON between two pipes.
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Names of the program, the small one that has no window first.
const NAMES: [&str; 6] = [
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// No answer takes longer, on a machine that is busy with other tests.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Then it is killed.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// A running Chromium with one page; it closes when it is dropped.
pub struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: Option<String>,
    next_id: u64,
    /// What it told of without being asked.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// The program that `EGSS_CHROMIUM` names, else the first of the known names.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("EGSS_CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let all = NAMES
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    all.into_iter().find(|path| path.is_file())
}

impl Browser {
    /// Starts one. Without a Chromium a test is passed over, and says so past
    /// the harness' capture; where `CI` is set it fails.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            let what = "no Chromium was found (scripts/setup --browser installs one, EGSS_CHROMIUM names one)";
            let in_ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
            assert!(!in_ci, "{what}");
            let _ = writeln!(std::io::stderr(), "SKIPPED a test of the page: {what}");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let (to, from) = (profile.path().join("to"), profile.path().join("from"));
        let made = Command::new("mkfifo").arg(&to).arg(&from).status();
        assert!(made.unwrap().success(), "mkfifo");
        // It reads commands from its third descriptor and answers on its fourth.
        let child = Command::new("sh")
            .args([
                "-c",
                r#"to=$1 from=$2; shift 2; exec "$@" 3<"$to" 4>"$from""#,
            ])
            .arg("sh")
            .args([&to, &from, &program])
            .args([
                "--headless",
                "--remote-debugging-pipe",
                // It opens this page and nothing else, often as root in a container.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-extensions",
                "--no-first-run",
                "--mute-audio",
                "--window-size=1280,900",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // In the shell's order: each waits for its other end.
        let commands = File::create(&to).unwrap();
        let answers = BufReader::new(File::open(&from).unwrap());
        let (send, messages) = channel();
        std::thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("the browser writes JSON");
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            session: None,
            next_id: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call(
            "Target.attachToTarget",
            json!({"targetId": target["targetId"], "flatten": true}),
        );
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser lives");
        loop {
            let message = self.next(method);
            if message["id"] == json!(id) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn next(&self, waiting_for: &str) -> Value {
        let message = self.messages.recv_timeout(ANSWER_WITHIN);
        message.unwrap_or_else(|error| panic!("waiting for {waiting_for}: {error}"))
    }

    /// Opens a page and waits until it has loaded.
    pub fn open(&mut self, page: &Path, hash: &str) {
        // The same page with another hash would not load again.
        self.call("Page.navigate", json!({"url": "about:blank"}));
        let url = format!("file://{}{hash}", page.display());
        let went = self.call("Page.navigate", json!({"url": url}));
        assert!(went["errorText"].is_null(), "{went}");
        self.eval("new Promise(r => document.readyState === 'complete' ? r(0) : addEventListener('load', () => r(0)))");
        assert_eq!(self.eval("location.href"), url);
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].clone()
    }

    /// Presses and lets go a key, as a person would.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            other => panic!("no code for the key {other}"),
        };
        let mut down = json!({
            "type": if text.is_empty() { "rawKeyDown" } else { "keyDown" },
            "key": key, "code": key, "windowsVirtualKeyCode": code,
        });
        if !text.is_empty() {
            down["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", down.clone());
        down["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", down);
        // What the key set off (a link's jump) comes with the next frame.
        self.eval("new Promise(r => setTimeout(() => requestAnimationFrame(() => r(0)), 0))");
    }

    /// `light` or `dark`.
    pub fn prefer(&mut self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    pub fn resize(&mut self, width: u32, height: u32) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
    }

    /// What went wrong in the page, and what it asked for beside files that
    /// tests opened themselves.
    pub fn complaints(&mut self) -> Vec<String> {
        self.eval("0");
        let wrong = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => true,
            Some("Runtime.consoleAPICalled") => event["params"]["type"] == "error",
            Some("Network.requestWillBeSent") => event["params"]["type"] != "Document",
            _ => false,
        };
        let found = self.events.iter().filter(wrong);
        found.map(|event| event["params"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The child may be a script that started the program: ask it to close,
        // and wait until its end of the pipe has gone.
        let close = json!({"id": u32::MAX, "method": "Browser.close"}).to_string() + "\0";
        let _ = self.commands.write_all(close.as_bytes());
        while self.messages.recv_timeout(CLOSED_WITHIN).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
