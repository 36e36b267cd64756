//! How far one actor gets in a funnel: the most steps that any attempt reaches, and when that attempt took them.
//!
//! One pass over the events in order. For each step the one attempt is kept that can still get furthest: with a window from
//! the first step that is the attempt which began last, with a window from step to step the one whose last step is newest.
//! Of the attempts that reach the most steps the answer is the one that is first to do so.

/// Most steps of a funnel: their conditions are bits of an event's mask.
pub(crate) const STEPS_MAX: usize = 32;

/// What may lie between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Mode {
    /// Other events may lie between.
    #[default]
    Ordered,
    /// A step is the very next event of the actor.
    StrictOrder,
    /// A step is later than the one before, not only behind it.
    StrictIncrease,
}

/// Where the time that a funnel may take begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) enum Window {
    /// At the first step.
    #[default]
    First,
    /// At the step before.
    Step,
}

/// A funnel without its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    /// At most [`STEPS_MAX`].
    pub(crate) steps: usize,
    /// Microseconds, inclusive.
    pub(crate) within_us: i64,
    pub(crate) window: Window,
    pub(crate) mode: Mode,
}

/// An event of one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at_us: i64,
    /// Steps that it satisfies, a bit each.
    pub(crate) steps: u32,
}

/// An attempt that got to some step.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// Index of its first event; `usize::MAX`: there is none.
    start: usize,
    times: [i64; STEPS_MAX],
}

const NONE: Attempt = Attempt { start: usize::MAX, times: [0; STEPS_MAX] };

/// Room to work in, reused from actor to actor.
#[derive(Debug)]
pub(crate) struct Search {
    rules: Rules,
    /// The attempt that is kept for each step it has reached.
    kept: [Attempt; STEPS_MAX],
    best: Attempt,
    reached: usize,
}

impl Search {
    pub(crate) fn new(rules: Rules) -> Self {
        assert!(rules.steps <= STEPS_MAX, "steps are bits of a mask");
        Self { rules, kept: [NONE; STEPS_MAX], best: NONE, reached: 0 }
    }

    /// Times of the steps that the best attempt took, and the index of its first event. `moments` are in order.
    pub(crate) fn run(&mut self, moments: &[Moment]) -> (&[i64], usize) {
        self.kept[..self.rules.steps].iter_mut().for_each(|kept| kept.start = NONE.start);
        self.reached = 0;
        match self.rules.mode {
            Mode::Ordered | Mode::StrictOrder => self.one_by_one(moments),
            Mode::StrictIncrease => self.by_time(moments),
        }
        (&self.best.times[..self.reached], self.best.start)
    }

    fn one_by_one(&mut self, moments: &[Moment]) {
        let strict = self.rules.mode == Mode::StrictOrder;
        for (index, moment) in moments.iter().enumerate() {
            // From the last step down: an event satisfies one step of an attempt.
            for step in (0..self.rules.steps).rev() {
                if moment.steps & (1 << step) != 0 && self.arrives(step, moment.at_us, (index, index)) {
                    continue;
                }
                if strict {
                    self.kept[step].start = NONE.start;
                }
            }
            if self.reached == self.rules.steps {
                return;
            }
        }
    }

    /// Events of one time cannot follow each other: they are taken together.
    fn by_time(&mut self, moments: &[Moment]) {
        let mut begin = 0;
        for together in moments.chunk_by(|one, other| one.at_us == other.at_us) {
            for step in (0..self.rules.steps).rev() {
                let fits = |moment: &Moment| moment.steps & (1 << step) != 0;
                if let Some((first, last)) = together.iter().position(fits).zip(together.iter().rposition(fits)) {
                    self.arrives(step, together[0].at_us, (begin + first, begin + last));
                }
            }
            if self.reached == self.rules.steps {
                return;
            }
            begin += together.len();
        }
    }

    /// An event satisfies `step`: whether some attempt takes it. The first and the last of events of one time that do are told
    /// apart where an attempt begins: the first is the first to get there, the last has the most time left.
    fn arrives(&mut self, step: usize, at_us: i64, (first, last): (usize, usize)) -> bool {
        let start = if step == 0 { last } else { self.kept[step - 1].start };
        if start == NONE.start || (step > 0 && !self.in_time(step, at_us)) {
            return false;
        }
        let is_record = step + 1 > self.reached;
        let is_kept = self.rules.mode == Mode::StrictOrder
            || self.rules.window == Window::Step
            || self.kept[step].start == NONE.start
            || self.kept[step].start < start;
        if is_kept {
            let (before, here) = self.kept.split_at_mut(step);
            if let Some(before) = before.last() {
                here[0].times[..step].copy_from_slice(&before.times[..step]);
            }
            here[0].times[step] = at_us;
            here[0].start = start;
        }
        if is_record {
            self.reached = step + 1;
            self.best.times[..=step].copy_from_slice(&self.kept[step].times[..=step]);
            self.best.start = if step == 0 { first } else { start };
        }
        true
    }

    fn in_time(&self, step: usize, at_us: i64) -> bool {
        let times = &self.kept[step - 1].times;
        let since = if self.rules.window == Window::First { times[0] } else { times[step - 1] };
        at_us.saturating_sub(since) <= self.rules.within_us
    }
}

impl Mode {
    pub(crate) const WORDS: &'static str = "ordered, strict_order, strict_increase";

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "ordered" => Self::Ordered,
            "strict_order" => Self::StrictOrder,
            "strict_increase" => Self::StrictIncrease,
            _ => return None,
        })
    }
}

impl Window {
    pub(crate) const WORDS: &'static str = "first, step";

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "first" => Self::First,
            "step" => Self::Step,
            _ => return None,
        })
    }
}
