//! What clients send, sensible and not.

/// Longest case. Both servers read that much at once; what they have not read when they close would cost the answer.
const LONGEST: usize = 480;

const SUBJECTS: [&str; 14] =
    ["a", "a.b", "a.b.c", "a.*", "a.>", ">", "*", "*.b", "b", "a..b", ".a", "a.", "a.>.b", "foo.bar"];
const REPLIES: [&str; 4] = ["", "r ", "a.b ", "nobody "];
const SIDS: [&str; 6] = ["1", "2", "3", "10", "x", "abc"];
/// Each is used once in a case, because it is random which member of a group gets a message. They are far enough from
/// each other that no mutation makes one of another.
const QUEUES: [&str; 10] = ["qaa", "rbb", "scc", "tdd", "uee", "vff", "wgg", "xhh", "yii", "zjj"];
const PAYLOADS: [&str; 6] = ["", "x", "hello", "two\r\nlines", "PING\r\n", "0123456789"];
const HEADERS: [&str; 5] = [
    "NATS/1.0\r\n\r\n",
    "NATS/1.0\r\nA: 1\r\n\r\n",
    "NATS/1.0 503\r\n\r\n",
    "NATS/1.0\r\nA: 1\r\nA: 2\r\nB:\r\n\r\n",
    "nonsense\r\n\r\n",
];
const CONNECTS: [&str; 12] = [
    "{}",
    "{\"verbose\":false}",
    "{\"verbose\":false,\"pedantic\":false}",
    "{\"verbose\":true,\"pedantic\":true}",
    "{\"verbose\":false,\"pedantic\":false,\"headers\":true}",
    "{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}",
    "{\"verbose\":false,\"pedantic\":false,\"no_responders\":true}",
    "{\"verbose\":false,\"pedantic\":false,\"echo\":false}",
    "{\"verbose\":false,\"protocol\":1}",
    "{\"verbose\":false,\"protocol\":7}",
    "{\"verbose\":\"yes\"}",
    "{",
];
const PIECES: [&str; 16] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "PUB ",
    "SUB ",
    "PING\r\n",
    "+OK\r\n",
    "-ERR 'x'\r\n",
    "99999999",
    "-1",
    "\0",
    "\u{fffd}",
    "HPUB ",
    "INFO {}\r\n",
];

/// A source of cases.
pub(crate) struct Cases {
    state: u64,
    /// Queue groups used in this case.
    queues: usize,
}

impl Cases {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, queues: 0 }
    }

    /// A few operations that a client might send, and some that it might get wrong.
    pub(crate) fn sensible(&mut self) -> Vec<u8> {
        let mut case = Vec::new();
        self.queues = 0;
        if self.below(5) != 0 {
            case.extend(format!("CONNECT {}\r\n", self.pick(&CONNECTS)).into_bytes());
        }
        for _ in 0..=self.below(8) {
            let operation = self.operation();
            if case.len() + operation.len() < LONGEST - 6 {
                case.extend(operation.into_bytes());
            }
        }
        case.extend(b"PING\r\n");
        case
    }

    /// A sensible case that something has happened to.
    pub(crate) fn mutated(&mut self) -> Vec<u8> {
        let mut case = self.sensible();
        for _ in 0..=self.below(3) {
            self.mutate(&mut case);
        }
        case.truncate(LONGEST);
        case
    }

    /// Any bytes, some of which look like the protocol.
    pub(crate) fn random(&mut self) -> Vec<u8> {
        let mut case = Vec::new();
        self.queues = 0;
        for _ in 0..=self.below(20) {
            match self.below(3) {
                0 => case.extend(self.pick(&PIECES).bytes()),
                1 => case.push(self.byte()),
                _ => case.extend(self.operation().into_bytes()),
            }
        }
        case.truncate(LONGEST);
        case
    }

    fn operation(&mut self) -> String {
        let (subject, sid) = (self.pick(&SUBJECTS), self.pick(&SIDS));
        match self.below(12) {
            0..=2 => format!("SUB {subject} {}{sid}\r\n", self.queue()),
            3..=5 => {
                let payload = self.pick(&PAYLOADS);
                format!("PUB {subject} {}{}\r\n{payload}\r\n", self.pick(&REPLIES), payload.len())
            }
            6 | 7 => {
                let (headers, payload) = (self.pick(&HEADERS), self.pick(&PAYLOADS));
                let (length, total) = (headers.len(), headers.len() + payload.len());
                format!("HPUB {subject} {}{length} {total}\r\n{headers}{payload}\r\n", self.pick(&REPLIES))
            }
            8 => format!("UNSUB {sid}\r\n"),
            9 => format!("UNSUB {sid} {}\r\n", self.below(4)),
            10 => "PING\r\n".to_owned(),
            _ => ["PONG\r\n", "+OK\r\n", "pInG\r\n", "PING \t\r\n", "INFO {}\r\n"][self.below(5)].to_owned(),
        }
    }

    fn mutate(&mut self, case: &mut Vec<u8>) {
        if case.is_empty() {
            return;
        }
        let (at, to) = (self.below(case.len()), self.below(case.len()));
        let (from, to) = (at.min(to), at.max(to).min(at.min(to) + 12));
        match self.below(7) {
            0 => case[at] = self.byte(),
            1 => case[at] ^= 1 << self.below(8),
            2 => case.insert(at, self.byte()),
            3 => drop(case.drain(from..to)),
            4 => drop(case.splice(at..at, self.pick(&PIECES).bytes())),
            5 => {
                let copied = case[from..to].to_vec();
                drop(case.splice(from..from, copied));
            }
            _ => case.truncate(at),
        }
    }

    /// The name of a group, with a space behind, or nothing.
    fn queue(&mut self) -> String {
        let wanted = self.below(3) == 0;
        let name = QUEUES.get(self.queues).filter(|_| wanted);
        self.queues += usize::from(name.is_some());
        name.map(|name| format!("{name} ")).unwrap_or_default()
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }

    /// Xorshift: good enough to make cases, and the same everywhere.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
