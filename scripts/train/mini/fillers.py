"""Fillers of the templates: names, goods, numbers. Training and evaluation draw from disjoint pools.

Invented words come from syllables; a word belongs to evaluation when its hash says so, so that the split needs no list. Training also
puts invented words where goods stand: the model has to read what is there, not to know it.
"""

import hashlib
import random

MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

ITEMS = {
    "train": """tent|tents; backpack|backpacks; stove|stoves; sleeping bag|sleeping bags; rope|ropes; jacket|jackets; rain jacket|rain jackets; fleece|fleeces;
        shirt|shirts; cap|caps; hat|hats; sock|socks; boot|boots; shoe|shoes; sandal|sandals; headlamp|headlamps; lantern|lanterns; knife|knives; axe|axes;
        compass|compasses; map|maps; water bottle|water bottles; cup|cups; pot|pots; pan|pans; gas canister|gas canisters; mat|mats; pillow|pillows; hammock|hammocks;
        tarp|tarps; whistle|whistles; helmet|helmets; carabiner|carabiners; harness|harnesses; ice axe|ice axes; snow shovel|snow shovels; sledge|sledges;
        pole|poles; bike bag|bike bags; dry bag|dry bags; towel|towels; spoon|spoons; fishing rod|fishing rods; kayak|kayaks; paddle|paddles;
        life vest|life vests; belt|belts; pair of trousers|pairs of trousers; pair of shorts|pairs of shorts; scarf|scarves; sweater|sweaters; vest|vests; coat|coats""",
    "eval": """glove|gloves; ski|skis; head torch|head torches; cooker|cookers; rucksack|rucksacks; thermos|thermoses; parka|parkas; beanie|beanies;
        groundsheet|groundsheets; duffel bag|duffel bags; watch|watches; lamp|lamps; camping chair|camping chairs; water filter|water filters; bivvy bag|bivvy bags""",
}
COLOURS = {"train": "red blue green black grey orange brown white".split(), "eval": "yellow purple olive".split()}
PAYMENTS = {"train": ["card", "bank transfer", "invoice"], "eval": ["card", "bank transfer", "invoice"]}
MAILS = {"train": ["mail.example", "post.example", "home.example"], "eval": ["inbox.example", "letter.example"]}

_ONSETS = "b br d f fl g gr h j k kl kr l m n p r s sk sn st t tr v".split()
_VOWELS = "a e i o u".split()
_CODAS = ["", "", "", "l", "m", "n", "nd", "r", "rg", "s", "sk", "st", "t", "v"]


def split_of(word):
    """Which split an invented word belongs to: a quarter of them is evaluation's."""
    return "eval" if hashlib.sha256(word.lower().encode()).digest()[0] < 64 else "train"


def is_held_out(*numbers):
    """Whether a sum is evaluation's: a sixth of all combinations is never shown in training."""
    return hashlib.sha256(repr(numbers).encode()).digest()[1] % 6 == 0


class Fillers:
    """Draws fillers of one split from one random stream."""

    def __init__(self, split, rng, made_up=0.2):
        self.split = split
        self.made_up = made_up
        self.rng = rng
        pairs = [pair.strip().split("|") for pair in ITEMS[split].split(";")]
        self.items = [(one, many) for one, many in pairs]

    def word(self, low=2, high=3):
        while True:
            syllables = [self.rng.choice(_ONSETS) + self.rng.choice(_VOWELS) for _ in range(self.rng.randint(low, high) - 1)]
            word = "".join(syllables) + self.rng.choice(_ONSETS) + self.rng.choice(_VOWELS) + self.rng.choice(_CODAS)
            if split_of(word) == self.split:
                return word.capitalize()

    def item(self):
        """Singular and plural."""
        if self.split == "train" and self.rng.random() < self.made_up:
            word = self.word(1, 2).lower()
            return word, word + "s"
        return self.rng.choice(self.items)

    def date(self):
        return f"{self.rng.randint(1, 28)} {self.rng.choice(MONTHS)}"

    def draw(self, name):
        """The filler `{name}` of a template."""
        rng = self.rng
        if name in ("item", "items"):
            return self.item()[name == "items"]
        makers = {
            "product": lambda: self.word() + rng.choice(["", "", f" {rng.randint(2, 9)}"]),
            "name": lambda: f"{self.word(1, 2)} {self.word(2, 3)}",
            "first": lambda: self.word(1, 2),
            "city": lambda: self.word(2, 3),
            "shop": lambda: self.word(2, 3),
            "carrier": lambda: self.word(1, 2) + rng.choice([" Post", " Parcel", " Express", "Line", " Cargo"]),
            "order": lambda: str(rng.randint(10000, 99999)),
            "day": lambda: rng.choice(DAYS),
            "month": lambda: rng.choice(MONTHS),
            "date": self.date,
            "time": lambda: f"{rng.randint(7, 21)}:{rng.choice(['00', '15', '30', '45'])}",
            "price": lambda: f"{rng.randint(5, 400)}.{rng.choice(['00', '50', '90'])}",
            "qty": lambda: str(rng.randint(2, 9)),
            "size": lambda: str(rng.randint(36, 47)),
            "colour": lambda: rng.choice(COLOURS[self.split]),
            "payment": lambda: rng.choice(PAYMENTS[self.split]),
            "phone": lambda: f"555-{rng.randint(1000, 9999)}",
            "mail": lambda: f"{self.word(1, 2).lower()}@{rng.choice(MAILS[self.split])}",
        }
        return makers[name]()


def fillers(split, seed, made_up):
    """Fillers of a split with a stream of their own."""
    return Fillers(split, random.Random(seed), made_up)
