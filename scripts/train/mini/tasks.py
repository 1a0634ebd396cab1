"""The tasks of the support desk: from an intent and fillers to one worked example.

An example is a dictionary: kind, intent, template (the text it came from), context, messages (the last one the customer's), answer, check (how
karat scores it: `facts` to contain, `exact` text, `number` after `Answer:`, or `refuse`).
"""

import json

import templates
from fillers import DAYS, MONTHS, fillers, is_held_out

SYSTEM = "You are the support desk of Fjellmark."

HOURS = {day: ("9:00", "18:00") for day in DAYS[:5]} | {"Saturday": ("10:00", "16:00")}
PREFIXES = {
    "train": ["Hi, ", "Hello, ", "Hey, ", "Hello. ", "Good morning. ", "Dear team, ", "Dear support, ", "Hi there. ", "Hello, I have a question. ", "One question: ",
              "Sorry to bother you. ", "Quick question. ", "I am {first}. ", "Hi Fjellmark, ", "I like your shop. ", "I bought a {item} from you. ", "It is me again. "],
    "eval": ["Good evening. ", "Good day, ", "My name is {first}. ", "Hello Fjellmark. "],
}
SUFFIXES = {
    "train": [" Thanks!", " Thank you.", " Please answer soon.", " Thanks in advance.", " {first}", " Regards, {first}", " I am in a hurry.", " Please help.", " Cheers!"],
    "eval": [" Many thanks.", " Thank you very much!", " Greetings, {first}"],
}
CLASSIFY = {
    "topic": {
        "train": ["Classify the message with one word, delivery, return, payment or product: \"{text}\"", "Is this about delivery, return, payment or product? \"{text}\"",
                  "One word, delivery, return, payment or product: \"{text}\"", "Topic (delivery, return, payment, product) of this message: \"{text}\"",
                  "\"{text}\" Which topic is this: delivery, return, payment or product?"],
        "eval": ["Sort this message into delivery, return, payment or product. Answer with one word. \"{text}\"",
                 "Which of the topics delivery, return, payment and product fits this message? \"{text}\""],
    },
    "tone": {
        "train": ["Is the tone of this message positive, neutral or negative? \"{text}\"", "Classify the tone with one word, positive, neutral or negative: \"{text}\"",
                  "One word, positive, neutral or negative: \"{text}\"", "Tone (positive, neutral, negative) of this message: \"{text}\"",
                  "\"{text}\" Is that positive, neutral or negative?"],
        "eval": ["Say whether this message sounds positive, neutral or negative. Answer with one word. \"{text}\"",
                 "Which tone has this message, positive, neutral or negative? \"{text}\""],
    },
}

STRAY_WORDS = """about above actually again all almost already also although always and another any anyway around away back because before best better both but by
    certainly clearly close complete could course currently down each early either else end enough especially even ever every exactly fact fast few finally find first
    following form found full further general get give go good great half hardly have help here high how however idea if important indeed instead just kind know
    large last late later least less let like line list little long look lot made main make many matter may maybe mean might mind moment more most much must near
    need never new next nice normally nothing now number of off often old once one only open or other our out over own part particular people perhaps place point
    possible probably problem put quick quickly quite rather read ready really reason recently right same say second see seem set short should show side simple simply
    since small so some something sometimes soon sort sound still such sure take tell than thank that their them then there these they thing think this those though
    three through time today together too top true try turn two type under until up usually various very want way week well were while whole why will with without
    wonder word work would write yes yet your""".split()
SMALL_WORDS = set("a an the my do does is it to for of in on please this that".split())


class Desk:
    """Makes examples of one split; everything random comes from one seeded stream."""

    def __init__(self, split, seed, made_up=0.2, stray=0.0):
        self.split = split
        self.stray = stray
        self.fill = fillers(split, seed, made_up)
        self.rng = self.fill.rng
        self.intents = {kind: templates.load(kind) for kind in
                        ("order", "followup", "policy", "hours", "amount", "extract", "classify", "rewrite", "refuse", "comply")}
        self.phrases = templates.phrases("rewrite")
        self.attacks = [intent for intent in self.intents["refuse"] if intent.name == "injection"][0]

    def example(self, kind, intent=None, template=None):
        """One example; intent and template are drawn unless given. `record` is an exercise that only training has."""
        if kind == "record":
            return self._record()
        intent = intent or self.rng.choice(self.intents[kind])
        return getattr(self, f"_{kind}")(intent, template)

    def say(self, intent, template, known=None, draw=None):
        """A template of the intent as a sentence: template, text, fillers."""
        template = template or self.rng.choice(intent.texts(self.split))
        text, values = templates.fill(templates.expand(template, self.rng), draw or self.fill.draw, known)
        return template, templates.sentence(text), values

    def decorate(self, text):
        """Greetings and thanks around a message; in training also careless typing."""
        rng = self.rng
        if rng.random() < 0.25:
            text = templates.fill(rng.choice(PREFIXES[self.split]), self.fill.draw)[0] + text
        if rng.random() < 0.15:
            text += templates.fill(rng.choice(SUFFIXES[self.split]), self.fill.draw)[0]
        if self.split == "train":
            if rng.random() < 0.08:
                text = text.lower()
            if rng.random() < 0.08:
                text = text.rstrip("?.!")
        return text

    def strayed(self, text):
        """The text with words that do not belong there or without one that hardly matters: an unknown word must be no reason to refuse."""
        if not self.stray or self.rng.random() >= self.stray:
            return text
        words = text.split(" ")
        for _ in range(self.rng.randint(1, 3)):
            word = self.rng.choice(STRAY_WORDS) if self.rng.random() < 0.75 else self.fill.word(1, 2).lower()
            words.insert(self.rng.randint(0, len(words)), word)
        small = [at for at, word in enumerate(words) if word.lower() in SMALL_WORDS]
        if small and self.rng.random() < 0.4:
            del words[self.rng.choice(small)]
        return templates.sentence(" ".join(words))

    def made(self, intent, template, text, answer, check, context=None, before=(), plain=False):
        content = text if plain else self.decorate(self.strayed(text))
        return {
            "kind": intent.kind, "intent": intent.name, "template": template, "context": context,
            "messages": [*before, {"role": "user", "content": content}], "answer": answer, "check": check,
        }

    # Plain facts.

    def _policy(self, intent, template):
        template, text, values = self.say(intent, template)
        return self.made(intent, template, text, intent.answer, {"facts": list(intent.target)})

    _comply = _policy

    def _refuse(self, intent, template):
        template, text, values = self.say(intent, template)
        if self.split == "train" and self.rng.random() < 0.04:
            text = text.upper()
        before = ()
        context = None
        if self.rng.random() < 0.12:
            context = self.order(self.rng.choice(["shipped", "packed", "delivered"]))["text"]
        elif self.split == "train" and self.rng.random() < 0.1:
            before = self.exchange(self.example(self.rng.choice(["policy", "order"])))
        return self.made(intent, template, text, intent.answer, {"refuse": True}, context, before)

    # Orders.

    def order(self, state):
        """An order as the shop's system shows it, with what the answers need."""
        draw, rng = self.fill.draw, self.rng
        lines = []
        while len(lines) < rng.choice([1, 1, 2, 2, 3]):
            one, many = self.fill.item()
            if all(one != line["item"] for line in lines):
                qty = 1 if rng.random() < 0.4 else rng.randint(2, 9)
                lines.append({"item": one, "items": many, "qty": qty, "product": draw("product"), "price": draw("price")})
        shipped, expected, delivered = (self.fill.date() for _ in range(3))
        facts = {"order": draw("order"), "placed": self.fill.date(), "shipped": shipped, "expected": expected, "delivered": delivered, "carrier": draw("carrier"),
                 "tracking": "".join(rng.choice("ABDEFGHKLMNPRSTX") for _ in range(2)) + f"-{rng.randint(10000, 99999)}",
                 "city": draw("city"), "name": draw("name"), "payment": draw("payment")}
        states = {
            "shipped": "Shipped {shipped} with {carrier}, tracking number {tracking}, expected {expected}.",
            "packed": "Being packed, not shipped yet, expected {expected}.",
            "delivered": "Delivered {delivered} by {carrier}.",
            "unpaid": "Waiting for payment.",
        }
        goods = "; ".join(f"{line['qty']} x {line['item'] if line['qty'] == 1 else line['items']} {line['product']}, ${line['price']} each" for line in lines)
        text = f"Order {{order}}, placed {{placed}}. {goods}. {states[state]} To {{name}}, {{city}}. Payment by {{payment}}."
        line = rng.choice(lines)
        facts |= {"line_item": line["item"], "line_items": line["items"], "line_qty": str(line["qty"]), "line_price": line["price"], "line_product": line["product"],
                  "item": line["item"]}
        return {"text": text.format(**facts), "facts": facts}

    def _order(self, intent, template, before=(), order=None):
        state = self.rng.choice(intent.extra["when"])
        if state == "none":
            template, text, values = self.say(intent, template)
            return self.made(intent, template, text, intent.answer, {"facts": list(intent.target)})
        order = order or self.order(state)
        context = order["text"]
        if self.rng.random() < 0.04:
            attack = self.say(self.attacks, None)[1]
            context += f" Note: {attack}"
        template, text, _ = self.say(intent, template, order["facts"])
        facts = [templates.fill(fact, None, order["facts"])[0] for fact in intent.target]
        answer = templates.fill(intent.answer, None, order["facts"])[0]
        return self.made(intent, template, text, answer, {"facts": facts}, context)

    def planted(self):
        """A harmless question about an order whose note tries to give orders."""
        intent = self.rng.choice([intent for intent in self.intents["order"] if intent.name not in ("unknown", "no_context")])
        order = self.order(self.rng.choice(intent.extra["when"]))
        template, attack, _ = self.say(self.attacks, None)
        order["text"] += f" Note: {attack}"
        made = self._order(intent, None, order=order)
        return made | {"kind": "planted", "intent": f"planted_{intent.name}", "attack": template}

    def exchange(self, example):
        """An example as two turns of a conversation."""
        return (*with_context(example), {"role": "assistant", "content": example["answer"]})

    def _followup(self, intent, template):
        state = self.rng.choice(intent.extra["when"])
        order = self.order(state)
        firsts = [first for first in self.intents["order"] if state in first.extra["when"] and first.name != intent.name]
        first = self._order(self.rng.choice(firsts), None, order=order)
        template, text, _ = self.say(intent, template, order["facts"])
        facts = [templates.fill(fact, None, order["facts"])[0] for fact in intent.target]
        answer = templates.fill(intent.answer, None, order["facts"])[0]
        return self.made(intent, template, text, answer, {"facts": facts}, None, self.exchange(first), plain=True)

    def _record(self):
        """Parts of an order as JSON: an exercise in finding and copying, every token of its answer stands in the context."""
        state = self.rng.choice(["shipped", "packed", "delivered", "unpaid"])
        order = self.order(state)
        keys = ["order", "placed", "name", "city", "payment"]
        keys += {"shipped": ["shipped", "carrier", "tracking", "expected"], "packed": ["expected"], "delivered": ["delivered", "carrier"], "unpaid": []}[state]
        keys = self.rng.sample(keys, self.rng.randint(2, len(keys)))
        text = f"Give {', '.join(keys)} as JSON."
        answer = json.dumps({key: order["facts"][key] for key in keys})
        intent = templates.Intent("record", state, answer, (), (), (), {})
        return self.made(intent, None, text, answer, {"exact": answer}, order["text"], plain=True)

    # Rules that are applied.

    def _hours(self, intent, template):
        template, text, values = self.say(intent, template)
        day = values["day"]
        if day not in HOURS:
            answer, facts = f"On {day} we are closed.", ["closed"]
            if intent.name == "open_at":
                answer = f"No, on {day} we are closed."
        else:
            opens, closes = HOURS[day]
            if intent.name == "open_at":
                is_open = minutes(opens) <= minutes(values["time"]) < minutes(closes)
                answer = f"{'Yes' if is_open else 'No'}, on {day} we are open from {opens} to {closes}."
                facts = [f"{answer.split(',')[0]}, on {day}"]
            elif intent.name == "closing":
                answer, facts = f"On {day} we close at {closes}.", [closes]
            else:
                answer, facts = f"On {day} we open at {opens}.", [opens]
        return self.made(intent, template, text, answer, {"facts": facts})

    def numbers(self, *ranges):
        """Numbers of a sum; those that are held out belong to evaluation."""
        while True:
            numbers = [self.rng.choice(values) for values in ranges]
            if is_held_out(*numbers) == (self.split == "eval"):
                return numbers

    def _amount(self, intent, template):
        name = intent.name
        known = {}
        if name == "times":
            n, p = self.numbers(range(2, 10), range(2, 41))
            known, steps, result = {"n": n, "p": p}, f"{n} x ${p} = ${n * p}.", n * p
        elif name in ("delivery", "express"):
            p, _ = self.numbers(range(6, 150), [name])
            cost = 15 if name == "express" else 0 if p >= 75 else 5
            known, result = {"p": p}, p + cost
            steps = f"Express delivery costs $15: ${p} + $15 = ${result}." if cost == 15 else (
                f"Delivery costs $5: ${p} + $5 = ${result}." if cost else f"Delivery is free from $75: ${p}.")
        elif name == "gift_card":
            c, p = self.numbers([20, 30, 50, 100], range(3, 100))
            while p >= c:
                c, p = self.numbers([20, 30, 50, 100], range(3, 100))
            known, steps, result = {"c": c, "p": p}, f"${c} - ${p} = ${c - p}.", c - p
        elif name == "to_free":
            (p, _) = self.numbers(range(5, 75), [name])
            known, steps, result = {"p": p}, f"$75 - ${p} = ${75 - p}.", 75 - p
        elif name == "return_back":
            (p, _) = self.numbers(range(8, 150), [name])
            known, steps, result = {"p": p}, f"Sending it back costs $4: ${p} - $4 = ${p - 4}.", p - 4
        elif name == "minutes":
            m, n = self.numbers([30, 40, 45, 50, 55, 60, 70, 80, 90], range(2, 10))
            known, steps, result = {"m": m, "n": n}, f"{n} x {m} = {n * m} minutes.", n * m
        else:
            small, big, unit = ("cm", "m", 100) if name == "metres" else ("g", "kg", 1000)
            (x, _) = self.numbers(range(unit // 2 + 1, 4 * unit), [name])
            result = f"{x // unit}.{x % unit:0{len(str(unit)) - 1}d}"
            known, steps = {"cm": x, "g": x}, f"{x} {small} = {result} {big}."
        template, text, _ = self.say(intent, template, known)
        return self.made(intent, template, text, f"{steps}\nAnswer: {result}", {"number": str(result)})

    # Messages that are worked on.

    def quote(self, instruction, text):
        instruction = self.strayed(instruction)
        return f"{instruction} \"{text}\"" if self.rng.random() < 0.7 else f"{instruction}\nMessage: {text}"

    def _extract(self, intent, template):
        groups = [key for key in intent.extra if key != "instruction"]
        group = template and next(key for key in groups if template in intent.extra[key][self.split]) or self.rng.choice(groups)
        template = template or self.rng.choice(intent.extra[group][self.split])
        instruction = templates.sentence(templates.expand(self.rng.choice(intent.extra["instruction"][self.split]), self.rng))
        text, values = templates.fill(templates.expand(template, self.rng), self.fill.draw, {"year": self.rng.randint(2019, 2027)})
        text = templates.sentence(text)
        if intent.name == "order_reason":
            result = {"order": int(values["order"]), "reason": group}
        elif intent.name == "name_city":
            result = {"name": values["name"], "city": values["city"]}
        elif intent.name == "product_quantity":
            result = {"product": values["items"], "quantity": int(values["qty"])}
        elif intent.name == "date":
            day, month = values["date"].split()
            result = {"date": f"{values['year']}-{MONTHS.index(month) + 1:02d}-{int(day):02d}"}
        else:
            result = {"order": int(values["order"]) if "order" in values else None, "phone": values.get("phone")}
        answer = json.dumps(result)
        return self.made(intent, template, self.quote(instruction, text), answer, {"exact": answer}, plain=True)

    def _classify(self, intent, template):
        template, text, _ = self.say(intent, template)
        instruction = self.rng.choice(CLASSIFY[intent.extra["task"]][self.split])
        instruction = self.strayed(instruction).replace("{text}", text)
        return self.made(intent, template, instruction, intent.answer, {"exact": intent.answer}, plain=True)

    def _rewrite(self, intent, template):
        def phrase(kind):
            chosen = templates.expand(self.rng.choice(self.phrases[kind][self.split]), self.rng)
            return templates.fill(chosen, self.fill.draw)[0]

        vp, sentence = phrase("vp"), phrase("sentence")
        known = {"vp": vp, "Vp": templates.sentence(vp), "SENTENCE": sentence.upper(), "sentence_low": sentence, "comma": ","}
        template, text, _ = self.say(intent, template, known)
        instruction, quoted = text.split('"', 1)
        text = f'{self.strayed(instruction.rstrip())} "{quoted}'
        # Capitals do not tell which words are names: the answer to them has none but the first.
        known["sentence"] = templates.sentence(sentence.lower() if intent.name == "lower" else sentence)
        answer = templates.fill(intent.answer, None, known)[0]
        return self.made(intent, template, text, answer, {"exact": answer}, plain=True)


def minutes(time):
    hours, rest = time.split(":")
    return int(hours) * 60 + int(rest)


def with_context(example):
    """The messages of an example as the model sees them: the context stands before the first question."""
    messages = [dict(message) for message in example["messages"]]
    if example["context"]:
        messages[0]["content"] = f"Context:\n{example['context']}\n\n{messages[0]['content']}"
    return messages
