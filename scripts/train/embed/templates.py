"""Sentences written from templates: captions, headlines, news, markets, forum posts, short questions, WordNet words.

Each generator yields clusters: lists of sentences about one scene in which a word is exchanged, the order or the tense
changes, something is negated, added or left out. The teacher says how near they are; nothing is labelled here.
Word lists: fillers.py (written for karat) and WordNet (wordnet.py).
"""

import re

from fillers import (
    ADVICE, ANIMALS, ANSWERS, CITIES, COLORS, COMPANIES, EVENTS, FIRST, FORCES, GROUPS, NAMES, PEOPLE, PLACES, ROLES,
    STATES, SUBJECTS, TOPICS, VICTIMS, actions, countries, items,
)
from wordnet import gerund, plural, third

NUMBERS = "two three four five six seven eight nine ten eleven twelve 13 14 15 16 17 18 19 20 21 22 25 27 30 32 36 40".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ADVERBS = "slowly quickly carefully happily alone together quietly loudly again".split()


def article(phrase):
    """`a` or `an` before the phrase."""
    return ("an " if phrase[:1].lower() in "aeiou" else "a ") + phrase


def capital(text):
    """First letter in upper case."""
    return text[:1].upper() + text[1:]


class Writer:
    """Draws words with one random state."""

    def __init__(self, rng, wordnet, vocabulary):
        self.rng = rng
        self.wordnet = wordnet
        self.actions = actions()
        self.countries = countries()
        self.lists = {
            "people": items(PEOPLE), "groups": items(GROUPS), "animals": items(ANIMALS), "colors": items(COLORS),
            "places": items(PLACES), "cities": items(CITIES), "states": items(STATES), "names": items(NAMES),
            "first": items(FIRST), "companies": items(COMPANIES), "roles": items(ROLES), "forces": items(FORCES),
            "events": items(EVENTS), "victims": items(VICTIMS), "subjects": items(SUBJECTS), "topics": items(TOPICS),
            "advice": items(ADVICE), "answers": items(ANSWERS),
        }
        thing = ["noun.artifact", "noun.food", "noun.object", "noun.plant", "noun.substance", "noun.body", "noun.animal"]
        idea = ["noun.act", "noun.event", "noun.cognition", "noun.state", "noun.attribute", "noun.feeling",
                "noun.communication", "noun.phenomenon", "noun.possession", "noun.process", "noun.group", "noun.time"]
        self.things = sorted({w for f in thing for w in wordnet.common(f, vocabulary, 1)})
        self.ideas = sorted({w for f in idea for w in wordnet.common(f, vocabulary, 1)})
        self.persons = wordnet.common("noun.person", vocabulary, 1)
        self.adjectives = wordnet.common("adj.all", vocabulary, 1)
        self.adverbs = [w for w in wordnet.common("adv.all", vocabulary, 1) if w.endswith("ly")]
        self.transitive = wordnet.verbs({8, 9, 11}, vocabulary)
        self.intransitive = wordnet.verbs({1, 2, 22}, vocabulary)
        covered = set(self.things) | set(self.ideas) | set(self.persons) | set(self.adjectives)
        covered |= set(self.transitive) | set(self.intransitive)
        self.others = sorted(w for w in vocabulary if w.isalpha() and w.isascii() and len(w) > 2 and w not in covered)

    def pick(self, name):
        """One entry of a list."""
        return self.rng.choice(self.lists[name])

    def place(self):
        """A city, state or country for a headline."""
        kind = self.rng.random()
        if kind < 0.55:
            return self.rng.choice(self.countries)[self.rng.choice((0, 0, 2))]
        return self.pick("cities" if kind < 0.85 else "states")

    def actor(self):
        """Subject of a caption with its verb forms: (text, is plural)."""
        kind = self.rng.random()
        if kind < 0.55:
            return article(self.pick("people")), False
        if kind < 0.78:
            animal = self.pick("animals")
            return article(f"{self.pick('colors')} {animal}" if self.rng.random() < 0.25 else animal), False
        if kind < 0.94:
            count = self.rng.choice(["two", "three", "four", "several", "some", "many", "a group of", "the"])
            return f"{count} {self.pick('groups')}", True
        return self.rng.choice(["someone", "the man", "the woman", "the boy", "the girl", "a couple", "the dog"]), False

    def caption(self):
        """A scene and its variations."""
        rng = self.rng
        who, many = self.actor()
        verb = rng.choice(self.actions)
        what, where = rng.choice(verb[2]), self.pick("places")
        be = "are" if many else "is"
        base = f"{who} {be} {verb[0]} {what}"
        out = [base + "."]
        choices = [
            f"{base} {where}.",
            f"{who} {verb[0]} {what} {where}",
            f"{where}, {who} {be} {verb[0]} {what}.",
            f"{who} {be} not {verb[0]} {what}.",
            f"{base} {rng.choice(ADVERBS)}.",
            f"there {be} {who} {verb[0]} {what}.",
            f"{what} {rng.choice(['is', 'is being'])} {verb[0].replace('ing', 'ed')} by {who}.",
            f"{who} {be} {verb[0]} {rng.choice(verb[2])}.",
        ]
        if not many:
            choices.append(f"{who} {verb[1]} {what}.")
        other, plural_other = self.actor()
        choices.append(f"{other} {'are' if plural_other else 'is'} {verb[0]} {what}.")
        verb2 = rng.choice(self.actions)
        choices.append(f"{who} {be} {verb2[0]} {rng.choice(verb2[2])}.")
        choices.append(f"{who} {be} {verb2[0]} {rng.choice(verb2[2])} {where}.")
        choices.append(f"{base} while {other} {'are' if plural_other else 'is'} {verb2[0]} {rng.choice(verb2[2])}.")
        return [capital(s) for s in out + rng.sample(choices, 3)]

    def still(self):
        """A picture in which nothing happens."""
        rng = self.rng
        thing = rng.choice(self.things) if rng.random() < 0.5 else self.pick("animals")
        other, color, where = rng.choice(self.things), self.pick("colors"), self.pick("places")
        position = rng.choice(["next to", "on top of", "behind", "in front of", "under", "near", "beside", "with", "full of"])
        choices = [
            f"{article(color + ' ' + thing)} {where}.",
            f"{article(thing)} {position} {article(other)}.",
            f"{article(color + ' ' + thing)} {position} {article(other)} {where}.",
            f"a close-up of {article(thing)}.",
            f"a black and white photo of {article(thing)} {where}.",
            f"two {plural(thing)} {where}.",
            f"a group of {plural(thing)} {position} {article(other)}",
            f"the {thing} is {color} and the {other} is {self.pick('colors')}.",
            f"{article(thing)} and {article(other)} {where}",
            f"{article(other)} {position} {article(color + ' ' + thing)}.",
        ]
        return [capital(s) for s in rng.sample(choices, 3)]

    def attack(self):
        """Headlines about victims of an event."""
        rng = self.rng
        n, place, event, who = rng.choice(NUMBERS), self.place(), self.pick("events"), self.pick("victims")
        more = rng.choice(NUMBERS + ["dozens", "hundreds", "scores", "at least 10", "many"])
        verb = rng.choice(["kills", "injures", "wounds", "leaves dead", "hits", "traps"])
        choices = [
            f"{event} {verb} {n} {who} in {place}", f"{event} {verb} {n} in {place}", f"{n} killed in {place} {event}",
            f"{n} dead, {more} injured in {place} {event}", f"at least {n} {who} killed in {event} in {place}",
            f"death toll in {place} {event} rises to {n}", f"{more} feared dead in {place} {event}",
            f"{place} {event}: {n} {who} missing", f"{event} in {self.place()} kills {n}",
            f"{n} {who} hurt as {event} strikes {place}", f"police: {event} kills {n} {who} in {place}",
            f"{self.pick('events')} kills {n} {who} in {place}", f"no casualties in {place} {event}",
            f"A {event} killed {n} {who} in {place} on {rng.choice(DAYS)}, police said.",
            f"{place} mourns victims of {event}", f"{event} rocks {place}",
        ]
        return [capital(s) for s in rng.sample(choices, 4)]

    def headline(self):
        """Headlines about politics, courts, sport and war."""
        rng = self.rng
        country, adjective, city = rng.choice(self.countries)
        other, adjective2, _ = rng.choice(self.countries)
        role, name, subject, force = (self.pick(k) for k in ("roles", "names", "subjects", "forces"))
        name2, place, role2, who = self.pick("names"), self.place(), self.pick("roles"), self.pick("victims")
        verb = rng.choice("rejects backs condemns welcomes denies warns_of discusses seeks delays signs urges_end_to defends "
                          "calls_for vows_to_end agrees_on faces hails criticizes suspends plans halts".split())
        verb = verb.replace("_", " ")
        act = rng.choice("clash_with attack kill arrest shell storm capture surround free fire_on seize_city_from retreat_from "
                         "battle detain rescue bomb target protest_against disperse".split()).replace("_", " ")
        fate = rng.choice("resigns|dies|is jailed|arrested|wins election|shot dead|in hospital|quits|found guilty|cleared of "
                          "charges|steps down|visits {o}|sworn in|re-elected|loses vote|apologizes|leaves hospital|charged with "
                          "murder|sentenced to death|sentenced to {n} years in prison|survives attack|dies at {n}|to stand "
                          "trial|pleads not guilty|returns home|meets {m}|accused of corruption|ousted|flees country"
                          .split("|")).format(o=other, m=name2, n=rng.choice([20, 30, 55, 70, 83, 91]))
        choices = [
            f"{adjective} {role} {fate}", f"{name} {fate}", f"{adjective} {role} {name} {fate}",
            f"{country} {verb} {subject}", f"{name} {verb} {subject}", f"{adjective} {force} {act} {who} in {city}",
            f"{force} {act} {who} in {place}", f"{country}, {other} hold talks on {subject}",
            f"{country} and {other} agree to talks on {subject}", f"{country} {verb} {other} over {subject}",
            f"{role} {verb} {subject} in {place}", f"thousands protest in {city} over {subject}",
            f"{adjective2} {role2} {fate}", f"{other} {verb} {subject}", f"{name2} {verb} {subject}",
            f"UN {verb} {subject} in {country}", f"EU {verb} {country} over {subject}", f"US {verb} {adjective} {subject}",
            f"{subject}: {name} says {country} is ready", f"{adjective} court {verb} {name} in {subject} case",
            f"{country} beat {other} in World Cup {rng.choice(['final', 'qualifier', 'opener'])}",
            f"{name} beats {name2} to reach {place} Open final", f"{country} opens embassy in {other}",
            f"{adjective} {role} to visit {other} in {rng.choice(MONTHS)}", f"{adjective} {role} {verb} {subject}",
            f"live blog: {subject} in {country}", f"what the {subject} means for {country}",
        ]
        return [capital(s) for s in rng.sample(choices, 4)]

    def news(self):
        """Sentences of newspaper prose."""
        rng = self.rng
        name, full, company, role = self.pick("names"), f"{self.pick('first')} {self.pick('names')}", self.pick("companies"), self.pick("roles")
        country, adjective, city = rng.choice(self.countries)
        subject, day, month, n = self.pick("subjects"), rng.choice(DAYS), rng.choice(MONTHS), rng.randint(2, 99)
        rival, idea, idea2 = self.pick("companies"), rng.choice(self.ideas), rng.choice(self.ideas)
        person, adj, where = rng.choice(self.persons), rng.choice(self.adjectives), self.place()
        verb = self.wordnet.past(rng.choice(self.transitive))
        choices = [
            f"{name} said the {subject} would not affect the {idea} of the {idea2}.",
            f'"We are {adj} about the {subject}," {name} told reporters in {where} on {day}.',
            f"The {adjective} {role}, {full}, {verb} the {person} on {day}.",
            f"The {role} said on {day} that {country} had {verb} the {subject}.",
            f"{full}, {article(role)} in {where}, said the {idea} was {adj}.",
            f"{company} said it would buy {rival} for ${n} billion in cash and stock.",
            f"{company} has agreed to acquire {rival} in a deal worth ${n}.{n % 10} billion.",
            f"{company} will cut {n}00 jobs as part of a plan to reduce costs.",
            f"{company} announced a new version of its {rng.choice(self.things)} {rng.choice(['software', 'service', 'product'])} on {day}.",
            f"A spokesman for {company} declined to comment on the {subject}.",
            f"The lawsuit against {company} was filed in {where} in {month}.",
            f"According to the {person}, the {idea} {verb} {n} people since {month}.",
            f"Police in {city} said {n} people had been arrested after the {idea}.",
            f"The {person} was found {adj} in {where} {rng.choice(['last week', 'on ' + day, 'two years ago', 'in ' + month])}.",
            f"{name}, {n}, was charged with {idea} and {idea2}.",
            f"The court ruled that the {idea} {verb} the {adj} {person}.",
            f"Researchers found that people with {adj} {idea} had a {n} percent higher risk of {idea2}.",
            f"The study, published in {month}, followed {n}000 {plural(person)} for ten years.",
            f"About {n} percent of {plural(person)} surveyed said they {verb} the {idea}.",
            f"The {subject} is expected to be discussed in {city} next {rng.choice(['week', 'month', 'year'])}.",
            f"It was the {rng.choice(['first', 'second', 'third', 'worst', 'biggest'])} {idea} in {where} since {rng.randint(1950, 2015)}.",
        ]
        return rng.sample(choices, 3)

    def market(self):
        """Shares, results, indexes."""
        rng = self.rng
        company, rival = self.pick("companies"), self.pick("companies")
        up = rng.random() < 0.5
        rose = rng.choice(["rose", "gained", "climbed", "jumped", "edged up"] if up else ["fell", "lost", "dropped", "slid", "edged down"])
        cents, price, pct, day = rng.randint(2, 99), rng.randint(3, 120), rng.randint(1, 9), rng.choice(DAYS)
        quarter, money = rng.choice(["first", "second", "third", "fourth"]), rng.randint(2, 900)
        index = rng.choice(["Dow Jones industrial average", "Nasdaq composite index", "Standard & Poor's 500 index", "FTSE 100", "Nikkei", "dollar", "euro", "oil price"])
        choices = [
            f"{company} shares {rose} {cents} cents to ${price}.{cents:02d} on the New York Stock Exchange.",
            f"Shares of {company} {rose} {pct} percent to ${price}.{cents:02d} in {rng.choice(['early', 'late', 'Nasdaq', 'afternoon'])} trading.",
            f"The {index} {rose} {pct}.{cents % 10} percent on {day}.",
            f"The {index} {rose} {price} points, or {pct} percent, to {rng.randint(1000, 12000):,}.",
            f"{company} posted a {quarter}-quarter {'profit' if up else 'loss'} of ${money} million, or {cents} cents a share.",
            f"Analysts had expected {company} to earn {cents} cents a share in the {quarter} quarter.",
            f"Revenue at {company} {rose} {pct} percent to ${money} million.",
            f"Net income {rose} to ${money} million from ${money + cents} million a year earlier.",
            f"{rival} {rose} {cents} cents to close at ${price}.{cents:02d}.",
            f"Stocks {rose} on {day} as investors worried about {self.pick('subjects')}.",
            f"{rng.choice(self.countries)[1]} stocks {'open higher' if up else 'close lower'}",
            f"{rng.choice(self.countries)[1]} markets {'up' if up else 'down'} at {rng.choice(['open', 'close', 'midday'])}",
        ]
        return rng.sample(choices, 3)

    def forum(self):
        """Questions and answers."""
        rng = self.rng
        topic, other = self.pick("topics"), self.pick("topics")
        if rng.random() < 0.45:
            topic = rng.choice([article(rng.choice(self.things)), rng.choice(self.ideas), plural(rng.choice(self.things))])
        bare = re.sub(r"^(an?|the|my) ", "", topic)
        choices = [f"How {self.pick('advice').format(t=topic)}?" for _ in range(2)]
        choices += [f"How {self.pick('advice').format(t=other)}?"]
        choices += [capital(self.pick("answers").format(t=topic)) for _ in range(3)]
        choices += [capital(self.pick("answers").format(t=other))]
        choices += [
            f"What is the best way to deal with {topic}?", f"What is the difference between {topic} and {other}?",
            f"Is {topic} better than {other}?", f"Is it OK to use {topic} with {other}?", f"Why is {topic} so important?",
            f"I have a question about {topic}.", f"I don't know anything about {topic}.", f"Does {topic} need {other}?",
            f"Can I use {topic} instead of {other}?", f"Why does {topic} cause {rng.choice(self.ideas)}?",
            f"{bare} vs {other}", f"Should I tell my {rng.choice(self.persons)} about {topic}?",
            f"what is {topic} used for", f"who invented {topic}", f"when was {topic} first used", f"where does {bare} come from",
        ]
        return rng.sample(choices, 3)

    def trivia(self):
        """Short questions in lower case, as people type them."""
        rng = self.rng
        country, adjective, city = (x.lower() for x in rng.choice(self.countries))
        name, thing, idea = self.pick("names").lower(), rng.choice(self.things), rng.choice(self.ideas)
        other = rng.choice(self.others)
        choices = [
            f"who is the {self.pick('roles').lower()} of {country}", f"what is the capital of {country}",
            f"when did {country} win the world cup", f"how many {plural(thing)} are there in {city}",
            f"who wrote the song {idea} of the {thing}", f"who plays {name} in the {idea}", f"where is {other} located",
            f"when does the {idea} start in {country}", f"what does {other} mean", f"what is the meaning of {idea} in {adjective}",
            f"who won the {idea} {rng.choice(['championship', 'election', 'award'])} in {rng.randint(1950, 2019)}",
            f"when was {name} born", f"how old is {name}", f"which country has the most {plural(thing)}",
            f"how long is the {thing} of {other}", f"what type of {thing} is {article(other)}", f"where was {other} filmed",
        ]
        return rng.sample(choices, 3)

    def words(self):
        """WordNet words in plain frames, so that every piece of the vocabulary is met in company."""
        rng = self.rng
        noun, noun2 = rng.choice(self.things), rng.choice(self.things + self.ideas)
        person, person2, idea = rng.choice(self.persons), rng.choice(self.persons), rng.choice(self.ideas)
        adj, adverb = rng.choice(self.adjectives), rng.choice(self.adverbs)
        verb, verb2 = rng.choice(self.transitive), rng.choice(self.intransitive)
        other, other2 = rng.choice(self.others), rng.choice(self.others)
        choices = [
            f"The {person} {self.wordnet.past(verb)} the {noun}.", f"The {person} {third(verb)} the {noun} {adverb}.",
            f"The {person2} {self.wordnet.past(verb)} the {adj} {noun}.", f"The {person} did not {verb} the {noun}.",
            f"The {noun} was {adj}.", f"The {idea} of the {noun} is {adj}.", f"A {noun} and {article(noun2)}.",
            f"{capital(gerund(verb))} {article(noun)} is {adj}.", f"A {person} is {gerund(verb2)}.",
            f"They {self.wordnet.past(verb)} the {noun2} for its {idea}.", f"{adj} {noun}", f"{noun} {noun2}", f"{idea}",
            f"{capital(other)} {third(verb)} {idea}", f"{capital(other)} and {capital(other2)} {verb} {noun2}",
            f"{capital(other)} is {article(adj)} {noun}.", f"the {noun} of {capital(other)}", other, f"{other} {noun}",
            f"He {self.wordnet.past(verb2)} {adverb}.", f"She {third(verb2)} in the {noun}.", f"{capital(other)}'s {noun} is {adj}.",
            f"I {verb} my {noun} and {verb2}.", f"{person} {third(verb)} {person2} in {capital(other)}",
        ]
        return [capital(s) if len(s.split()) > 2 else s for s in rng.sample(choices, 3)]


def generate(rng, wordnet, vocabulary, sizes):
    """{genre: [cluster, ...]}; sizes says how many clusters of each."""
    writer = Writer(rng, wordnet, vocabulary)
    return {genre: [getattr(writer, genre)() for _ in range(count)] for genre, count in sizes.items()}
