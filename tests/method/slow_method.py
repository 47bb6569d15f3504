"""FineGrainedAD written slowly: a loop for each sum of the paper, one prompt and image at a time.

Of the product it takes what is no part of the equations: the frozen CLIP, a caption's sentences
(method/units.py) and the Query Former's initial values. Equation numbers are the paper's.
K shots, N tokens of an image, U units, D joint width, E width of token embeddings.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from finegrain.backbones.backbone import resize_square
from finegrain.method.query_former import QueryFormer
from finegrain.method.units import abnormal_sentences, caption_units

NORMAL, HANDCRAFTED, LEARNABLE = "NHP", "AHP", "ALP"
SLICES, HEADS, MAP_SIDE, SIGMA = 4, 8, 400, 4


class SlowFineGrained:
    """Fit and score by the whole dictionary of switches, as `finegrained:paper` lists them."""

    def __init__(self, clip, caption, switches, seed):
        self.clip, self.switches, self.seed = clip, switches, seed
        self.units = caption_units(caption)
        self.kinds = [unit.kind for unit in self.units]
        self.parts = [u for u, kind in enumerate(self.kinds) if kind == "component"]
        self.ground = self.kinds.index("background")
        self.local = [*self.parts, self.ground]
        rng = np.random.default_rng(seed)
        self.flawed = [abnormal_sentences(unit, rng) for unit in self.units]
        self.parameters = self.initial_values()

    # --- section 3: prompts

    def initial_values(self):
        """Small contexts and placeholders, open gates; one placeholder a value and ALP."""
        prompts = self.switches["prompts"]
        draw = torch.Generator().manual_seed(self.seed)
        width = self.clip.embed_tokens(self.clip.tokenize(["x"])).shape[-1]
        slots = prompts["learnable"] * sum(max(1, len(unit.values)) for unit in self.units)
        values = {
            "context": 0.02
            * torch.randn(len(self.units), prompts["context"], width, generator=draw),
            "placeholders": 0.02 * torch.randn(slots, width, generator=draw),
            "gates": torch.zeros(slots),
        }
        former = QueryFormer(len(self.units), self.clip.embed_dim, self.seed)
        values |= {f"former.{name}": p.detach().clone() for name, p in former.named_parameters()}
        return {name: value.requires_grad_() for name, value in values.items()}

    def words(self, text):
        """The embeddings of a text's tokens, without start and end."""
        ids = self.clip.tokenize([text])
        return self.clip.embed_tokens(ids)[0, 1 : int(ids.argmax())] if text.strip() else None

    def encoded(self, unit, pieces):
        """Start, the unit's context, the pieces, end, through the text tower."""
        ids = self.clip.tokenize([""])
        start, end = self.clip.embed_tokens(ids)[0, :2]
        pieces = [piece for piece in pieces if piece is not None]
        row = torch.cat([start[None], self.parameters["context"][unit], *pieces, end[None]])
        return self.clip.encode_prompts(row[None], torch.tensor([len(row) - 1]))[0]

    def features(self):
        """For each unit and kind of prompt the unit-norm features."""
        found, slot = [], 0
        for u, unit in enumerate(self.units):
            own = {NORMAL: [self.encoded(u, [self.words(unit.sentence)])]}
            own[HANDCRAFTED] = [self.encoded(u, [self.words(text)]) for text in self.flawed[u]]
            own[LEARNABLE] = []
            for _ in range(self.switches["prompts"]["learnable"]):
                pieces, begin = [], 0
                for value in unit.values or [None]:
                    until = value.start if value else len(unit.sentence)
                    gate = torch.sigmoid(self.parameters["gates"][slot])  # Attr-MoE
                    pieces.append(self.words(unit.sentence[begin:until]))
                    pieces.append(gate * self.parameters["placeholders"][slot][None])
                    begin, slot = value.end if value else until, slot + 1
                pieces.append(self.words(unit.sentence[begin:]))
                own[LEARNABLE].append(self.encoded(u, pieces))
            found.append(own)
        return found

    def queries(self, normal, abnormal):
        """q of each unit: two cross-attentions of 8 heads with a residual, and a linear layer."""
        p = {n[7:]: v for n, v in self.parameters.items() if n.startswith("former.")}
        found = []
        for u in range(len(self.units)):
            sides = []
            for side, features in (("normal", normal), ("abnormal", abnormal)):
                own = features[u] + p["queries"][u]
                weights = p[f"{side}.in_proj_weight"].chunk(3)
                biases = p[f"{side}.in_proj_bias"].chunk(3)
                ask = weights[0] @ own + biases[0]
                keys = [weights[1] @ x + biases[1] for x in features]
                values = [weights[2] @ x + biases[2] for x in features]
                width = len(own) // HEADS
                heads = []
                for h in range(0, len(own), width):
                    one = slice(h, h + width)
                    logits = torch.stack([ask[one] @ key[one] / math.sqrt(width) for key in keys])
                    shares = logits.softmax(0)
                    heads.append(sum(s * v[one] for s, v in zip(shares, values, strict=True)))
                seen = p[f"{side}.out_proj.weight"] @ torch.cat(heads)
                sides.append(own + seen + p[f"{side}.out_proj.bias"])
            found.append(p["join.weight"] @ torch.cat(sides) + p["join.bias"])
        return found

    # --- section 4: regions, objectives, descent

    def own_regions(self, shots):
        """(U,K,N): the share of each token that is the unit's own; without gradient."""
        rows, columns = shots[0]["grid"]
        normal = [own[NORMAL][0] for own in self.features()]
        tokens = []  # of all shots, at four times the side: (shot, row, column, token)
        for k, shot in enumerate(shots):
            side = self.clip.image_size
            large = resize_square(shot["image"], SLICES * side)
            for a in range(SLICES):
                for b in range(SLICES):
                    cut = large[a * side : (a + 1) * side, b * side : (b + 1) * side]
                    for i, z in enumerate(self.seen(cut)["joint"]):
                        place = (a * rows + i // columns, b * columns + i % columns)
                        tokens.append((k, *place, z))
        to_parts = np.array([[float(z @ normal[u]) for u in self.parts] for *_, z in tokens])
        to_ground = np.array([float(z @ normal[self.ground]) for *_, z in tokens])
        # First stage. Departure: by the lead over the background, not in all dimensions.
        lead = to_parts.max(1) - to_ground
        front = np.abs(lead - lead.max()) <= np.abs(lead - lead.min())
        # Second stage: the token most similar to a component's prompt is the component's centre.
        where = np.flatnonzero(front)
        described = np.concatenate([to_parts, to_ground[:, None]], 1)
        centers = []
        for c in range(len(self.parts)):
            order = where[np.argsort(-to_parts[where, c])]
            centers.append(next(i for i in order if i not in centers))
        own = np.zeros((len(self.units), len(shots), rows, columns))
        for i, (k, row, column, _) in enumerate(tokens):
            far = [np.linalg.norm(described[i] - described[j]) for j in centers]
            label = self.parts[int(np.argmin(far))] if front[i] else self.ground
            for u, kind in enumerate(self.kinds):
                mine = {"image": True, "foreground": front[i]}.get(kind, u == label)
                own[u, k, row // SLICES, column // SLICES] += mine / SLICES**2
        return torch.tensor(own).float().flatten(2)

    def losses(self, shots, own):
        """Eq. 2 and 3 and the others, each a mean over the units."""
        options, prompts = self.switches["losses"], self.features()
        scale = {None: self.clip.logit_scale, "log": math.log(self.clip.logit_scale)}
        temperature = scale[options["temperature"]]
        normal, abnormal = unit_means(prompts)
        clip, triplet, mean = [], [], []
        terms = [(u, "joint") for u in range(len(self.units))]
        for u, level in terms + ([(0, "class")] if options["class_token"] else []):
            every = prompts[u][HANDCRAFTED] + prompts[u][LEARNABLE]
            of_clip, of_triplet, total = 0, 0, 0
            for k, shot in enumerate(shots):
                for i, z in enumerate(shot[level]):
                    weight = 1.0
                    if level == "joint":
                        weight = float(1 + self.switches["regions"]["weight"] * own[u, k, i])
                    if options["weighting"] == "tokens":
                        z, weight = weight * z, 1.0
                    right = torch.exp(temperature * (z @ normal[u]))
                    wrong = sum(torch.exp(temperature * (z @ a)) for a in every)
                    apart = (z - normal[u]).norm() - (z - abnormal[u]).norm() + options["margin"]
                    of_clip = of_clip - weight * torch.log(right / (right + wrong))
                    of_triplet = of_triplet + weight * apart.clamp(min=0)
                    total += weight
            clip.append(of_clip / total)
            triplet.append(of_triplet / total)
        for own_prompts in prompts:
            gap = sum(own_prompts[HANDCRAFTED]) / len(own_prompts[HANDCRAFTED])
            gap = gap - sum(own_prompts[LEARNABLE]) / len(own_prompts[LEARNABLE])
            mean.append((gap**2).sum())
        learned = [unit_norm(sum(own_prompts[LEARNABLE])) for own_prompts in prompts]
        parts = sum(learned[u] for u in self.parts)
        left = learned[0] - options["eta"] * parts - normal[self.ground]
        fixed = [n.detach() for n in normal], [a.detach() for a in abnormal]
        query = [
            2 - unit_norm(q) @ n - unit_norm(q) @ a
            for q, n, a in zip(self.queries(*fixed), *fixed, strict=True)
        ]
        return {
            "clip": sum(clip) / len(clip),
            "triplet": sum(triplet) / len(triplet),
            "mean": sum(mean) / len(mean),
            "regularization": left.norm(),
            "query": sum(query) / len(query),
        }

    def fit(self, images):
        """SGD by hand on the shots; then what scoring needs."""
        shots = [self.seen(image) for image in images]
        with torch.no_grad():
            own = self.own_regions(shots)
        training = self.switches["training"]
        first, last, epochs = (
            training[name] for name in ("learning_rate", "final_learning_rate", "epochs")
        )
        speed = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        for epoch in range(epochs):
            rate = last + (first - last) * (1 + math.cos(math.pi * epoch / epochs)) / 2
            losses = self.losses(shots, own)
            total = sum(self.switches["losses"][name] * loss for name, loss in losses.items())
            slopes = torch.autograd.grad(total, list(self.parameters.values()))
            with torch.no_grad():
                for (name, value), slope in zip(self.parameters.items(), slopes, strict=True):
                    pull = slope + training["weight_decay"] * value
                    speed[name] = pull if epoch == 0 else training["momentum"] * speed[name] + pull
                    value -= rate * speed[name]
        with torch.no_grad():
            self.normal, self.abnormal = unit_means(self.features())
            self.keys = [unit_norm(q) for q in self.queries(self.normal, self.abnormal)]
        self.shots = shots
        turns = (1, 2, 3) if self.switches["memory"]["turned"] else ()
        self.turned = [[self.seen(np.rot90(i, t).copy()) for t in turns] for i in images]
        return self

    # --- section 5: scores

    def seen(self, image):
        """The tokens of one image: unit norm, class token, joint space and the tower's levels."""
        with torch.no_grad():
            found = self.clip.encode_images(self.clip.preprocess([image]))
        levels = [[unit_norm(x) for x in level[0]] for level in found.memories]
        joint = [unit_norm(x) for x in found.patches[0]]
        return {"image": image, "class": found.image, "joint": joint, "levels": levels,
                "grid": found.grid}  # fmt: skip

    def score(self, image):
        """Image score, and the map (S,S)."""
        seen, scoring = self.seen(image), self.switches["scoring"]
        visual, plain = self.visual_maps(seen)
        final = [
            {"harmonic": harmonic(m_p, m_v), "weighted": m_v * (1 + m_p)}[scoring["fusion"]]
            for m_p, m_v in zip(self.prompt_map(seen), visual, strict=True)
        ]
        s_c = self.share(seen["class"][0], 0, self.temperature(scoring["class_temperature"]))
        highest = sorted(final, reverse=True)
        tail = max(1, int(scoring.get("tail", 0) * len(final)))
        lead = sum(highest[:tail]) / tail - scoring.get("level", 0) * float(np.median(final))
        peak = {"visual": max(plain), "map": highest[0], "tail": lead}
        square = torch.tensor(final).view(1, 1, *seen["grid"]).double()
        large = F.interpolate(square, (MAP_SIDE, MAP_SIDE), mode="bilinear", align_corners=False)
        return harmonic(s_c, peak[scoring["image"]]), gaussian_filter(large[0, 0].numpy(), SIGMA)

    def temperature(self, stated):
        """None is the map's, and there the CLIP's own scale; "log" its logarithm."""
        stated = stated or self.switches["scoring"]["temperature"] or self.clip.logit_scale
        return math.log(self.clip.logit_scale) if stated == "log" else stated

    def visual_maps(self, seen):
        """M_v as the map takes it, and as Eq. 1 has it."""
        options, (rows, columns) = self.switches["memory"], seen["grid"]
        final, plain = [], []
        for i in range(rows * columns):
            here, equation_1 = [], []
            for level in [*range(len(seen["levels"])), *(["joint"] if options["joint"] else [])]:
                z, scale = level_of(seen, level)[i], 1.0
                near, wide, plain_ones = [], [], []
                for k, shot in enumerate(self.shots):
                    for j, m in enumerate(level_of(shot, level)):
                        others = [s for o, s in enumerate(self.shots) if o != k]
                        usual = options["usual"] * away(m, others, level)
                        plain_ones.append(float(1 - z @ m) / 2)
                        distance = max(plain_ones[-1] - usual, 0)
                        wide.append(distance)
                        down, across = (
                            abs(i // columns - j // columns),
                            abs(i % columns - j % columns),
                        )
                        reach = options["radius"] or 0
                        if down <= reach * rows and across <= reach * columns:
                            near.append(distance)
                if level == "joint":
                    towers = [self.spread(other) for other in range(len(seen["levels"]))]
                    scale = sum(towers) / len(towers) / self.spread("joint")
                else:
                    equation_1.append(min(plain_ones))
                turned = []
                for k, views in enumerate(self.turned):
                    others = [t for o, views in enumerate(self.turned) if o != k for t in views]
                    for view in views:
                        for m in level_of(view, level):
                            usual = options["usual"] * away(m, others, level)
                            turned.append(max(float(1 - z @ m) / 2 - usual, 0))
                anywhere, share = min(wide + turned), options["near"]
                if options["radius"] is None:
                    share = 0
                mixed = share * min(near) + (1 - share) * anywhere if share else anywhere
                here.append(scale * mixed)
            weights = [options["finest"], *[1.0] * (len(here) - 1)]
            final.append(min(max(float(np.average(here, weights=weights)), 0), 1))
            plain.append(sum(equation_1) / len(equation_1))
        return final, plain

    def spread(self, level):
        """The mean distance between two tokens of the shots."""
        every = [z for shot in self.shots for z in level_of(shot, level)]
        return float(np.mean([[float(1 - a @ b) / 2 for a in every] for b in every]))

    def share(self, z, u, temperature):
        """The abnormal part of the softmax over unit u's pair."""
        right, wrong = (float(temperature * (z @ x[u])) for x in (self.normal, self.abnormal))
        return math.exp(wrong) / (math.exp(right) + math.exp(wrong))

    def prompt_map(self, seen):
        """M_p' of Eq. 4 to 7."""
        options, found = self.switches["scoring"], []
        temperature = self.temperature(None)
        for z in seen["joint"]:
            if not options["token_wise"]:
                score = np.mean([self.share(z, u, temperature) for u in range(len(self.units))])
            elif options["matching"] == "query":
                score = self.share(
                    z, max(self.local, key=lambda u: float(z @ self.keys[u])), temperature
                )
            else:
                weights = [math.exp(float(temperature * (z @ self.normal[u]))) for u in self.local]
                shares = [self.share(z, u, temperature) for u in self.local]
                score = sum(w * s for w, s in zip(weights, shares, strict=True)) / sum(weights)
            if options["reweighting"]:
                score = min(score * (1 + self.share(z, 0, temperature)), 1)
            found.append(float(score))
        return found


def unit_means(prompts):
    """n̄ and ā of each unit."""
    normal = [unit_norm(sum(own[NORMAL])) for own in prompts]
    every = (own[HANDCRAFTED] + own[LEARNABLE] for own in prompts)
    return normal, [unit_norm(sum(features) / len(features)) for features in every]


def away(token, others, level):
    """How far a token of a shot is from the most similar one of the other shots, 0 without any."""
    distances = [float(1 - token @ m) / 2 for shot in others for m in level_of(shot, level)]
    return min(distances, default=0)


def level_of(seen, level):
    return seen["joint"] if level == "joint" else seen["levels"][level]


def unit_norm(x):
    return x / x.norm()


def harmonic(a, b):
    return 1 / (1 / a + 1 / b) if a and b else 0
