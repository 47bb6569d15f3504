"""Captions written by a multimodal model from one normal image a category.

The model answers with the record itself. What the schema or the closed lists do not accept goes
back to it with the reason, a few times.
"""

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from pydantic import ValidationError

from finegrain.captions.chat import Chat, ChatError, Message
from finegrain.captions.schema import MAX_COMPONENTS, Caption, Provenance
from finegrain.captions.store import faults, read_caption
from finegrain.captions.vocabulary import VOCABULARY
from finegrain.data.images import read_rgb
from finegrain.errors import InputError
from finegrain.files import write_json, write_text

PROMPT_VERSION = "1"
LONGEST_SIDE = 768  # of the image that is sent
CORRECTIONS = 3  # answers that may be sent back, a caption
MOST_STARTS = 200  # braces that are tried as the answer's first
FAILED = "failed"  # below the captions' folder: the last answer of each that failed


@dataclass(frozen=True)
class Order:
    """A caption to be built.

    Args:
        dataset: with `category` the caption's key.
        category: see `dataset`.
        image: a normal one.
    """

    dataset: str
    category: str
    image: Path

    @property
    def key(self) -> str:
        """DATASET/CATEGORY."""
        return f"{self.dataset}/{self.category}"


@dataclass(frozen=True)
class Built:
    """What became of an order.

    Args:
        key: DATASET/CATEGORY.
        status: "kept" stood there already, from the same image, model and prompt.
        questions: that were put to the model for it.
        why: it failed.
    """

    key: str
    status: Literal["built", "kept", "failed"]
    questions: int
    why: str = ""


def build_captions(
    orders: Sequence[Order],
    folder: Path,
    chat: Chat,
    *,
    concurrency: int = 4,
    tell: Callable[[Built], None] = lambda _built: None,
) -> list[Built]:
    """Build what the folder lacks, several at a time; each is stored as soon as it is valid.

    Args:
        orders: one a category.
        folder: of the captions, DATASET-CATEGORY.json each.
        chat: the endpoint.
        concurrency: questions in flight.
        tell: hears of every order when it is done.
    """

    def one(order: Order) -> Built:
        built = _build(order, folder, chat)
        tell(built)
        return built

    with ThreadPoolExecutor(concurrency) as threads:
        return list(threads.map(one, orders))


def _build(order: Order, folder: Path, chat: Chat) -> Built:
    path = folder / f"{order.dataset}-{order.category}.json"
    questions = 0
    answer = ""
    try:
        image = order.image.read_bytes()
        made_by = Provenance(
            source="llm",
            model=chat.endpoint.model,
            prompt_version=PROMPT_VERSION,
            image_sha256=hashlib.sha256(image).hexdigest(),
        )
        if path.exists() and read_caption(path).provenance == made_by:
            return Built(order.key, "kept", 0)
        messages = first_question(order)
        why = ""
        for _ in range(1 + CORRECTIONS):
            questions += 1
            answer = chat.ask(messages)
            caption, why = read_answer(answer, order, made_by)
            if caption is not None:
                write_json(path, caption.model_dump(mode="json"))
                return Built(order.key, "built", questions)
            messages = [*messages, *correction(answer, why)]
        raise ChatError(f"no valid caption in {questions} answers; the last: {why}")
    except (ChatError, InputError, OSError) as error:
        if answer:
            write_text(folder / FAILED / f"{order.dataset}-{order.category}.txt", answer)
        return Built(order.key, "failed", questions, str(error))


def read_answer(answer: str, order: Order, made_by: Provenance) -> tuple[Caption | None, str]:
    """The caption in an answer, or None and what is wrong with it."""
    try:
        record = last_object(answer)
        return Caption.model_validate(
            {
                **record,
                "dataset": order.dataset,
                "category": order.category,
                "provenance": made_by,
            }
        ), ""
    except (json.JSONDecodeError, RecursionError) as error:
        return None, f"the answer is no JSON object: {error}"
    except ValidationError as error:
        return None, faults(error)


def last_object(answer: str) -> Mapping[str, Any]:
    """The last whole JSON object of an answer: a model may think aloud before, with braces.

    Raises:
        JSONDecodeError, RecursionError: there is none.
    """
    told = answer.rpartition("</think>")[2]
    start, end = told.find("{"), told.rfind("}") + 1
    places = [match.start() for match in re.finditer(r"\{", told[:end])][:MOST_STARTS]
    for place in places:  # the outermost that reaches to the last brace
        try:
            return dict(json.loads(told[place:end]))
        except json.JSONDecodeError:
            continue
    return dict(json.loads(told[max(start, 0) : end]))  # what is wrong with the whole


def first_question(order: Order) -> list[Message]:
    """What the model is told, and the image."""
    picture = {"type": "image_url", "image_url": {"url": data_url(order.image)}}
    text = {"type": "text", "text": f"The category is {order.category!r}. Describe this product."}
    return [
        {"role": "system", "content": instructions()},
        {"role": "user", "content": [text, picture]},
    ]


def correction(answer: str, why: str) -> list[Message]:
    """The answer that did not hold, and why."""
    request = f"This does not hold: {why}. Answer again with the whole corrected JSON object."
    return [{"role": "assistant", "content": answer}, {"role": "user", "content": request}]


def instructions() -> str:
    """The form of the record, with the closed lists."""
    lists = "\n".join(f"- {name}: {', '.join(values)}" for name, values in VOCABULARY.items())
    return f"""You describe a flawless industrial product for visual inspection.
Answer with one JSON object and nothing else. Its keys:
- "foreground": the product's name, a noun phrase.
- "background": what lies behind it, a few words; null where the product fills the image.
- "components": 1 to {MAX_COMPONENTS} objects, the most important first, each with "name", "number",
  "location", "direction" (a word such as "vertical", or null), "color", "texture", "shape", and
  "caption": one sentence that says the name and all these values word for word (a number may be
  written out).
- "logical_relation": one sentence, how many components there are and how they lie to one another.
- "summary": one sentence with all components, all their attributes, and the background.
- "defects": the defects that could occur, short noun phrases such as "crack", each once.
The values of these attributes come from closed lists; all but the number may join several with
"and", "or" or "with":
{lists}"""


def data_url(path: Path) -> str:
    """The image as the chat protocol wants it: a JPEG of moderate size, in base64."""
    image = Image.fromarray(read_rgb(path))
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(stored.getvalue()).decode()}"
