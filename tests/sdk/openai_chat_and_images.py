"""OpenAI's own SDK against the fake: chats, pictures, models, and every error as its typed exception."""

import base64

import openai

from checks import KEY, PROMPT, address, check, equal, png_size, raised

MODEL = "gpt-5-mini"
DRAWS = "gpt-image-2.6-flare"


def client(account="works", key=KEY, timeout=20):
    return openai.OpenAI(base_url=address(account) + "/v1", api_key=key, max_retries=0, timeout=timeout)


def chat(account="works", key=KEY, timeout=20, **changes):
    wish = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], **changes}
    return client(account, key, timeout).chat.completions.create(**wish)


def draw(account="works", **changes):
    return client(account).images.generate(**{"model": DRAWS, "prompt": PROMPT, **changes})


with check("text"):
    messages = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": PROMPT}]
    completion = chat(messages=messages, max_completion_tokens=100, temperature=0.5)
    assert isinstance(completion, openai.types.chat.ChatCompletion), type(completion)
    equal((completion.object, completion.model, len(completion.choices)), ("chat.completion", MODEL, 1))
    choice = completion.choices[0]
    equal((choice.finish_reason, choice.message.role, choice.message.refusal), ("stop", "assistant", None))
    assert PROMPT in choice.message.content, choice
    usage = completion.usage
    equal((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (12, 34, 46))
    equal(usage.completion_tokens_details.reasoning_tokens, 0)
    assert completion._request_id.startswith("req_"), completion._request_id

with check("filtered text"):
    equal(chat("refused").choices[0].finish_reason, "content_filter")

with check("truncated text"):
    equal(chat("unusable").choices[0].finish_reason, "length")

with check("picture"):
    images = draw(size="1536x864", n=1, quality="low", output_format="png")
    assert isinstance(images, openai.types.ImagesResponse), type(images)
    equal((len(images.data), images.data[0].url), (1, None))
    equal(png_size(base64.b64decode(images.data[0].b64_json, validate=True)), (1536, 864))
    equal((images.usage.input_tokens, images.usage.output_tokens), (20, 1000))
    equal((images.usage.input_tokens_details.text_tokens, images.output_format, images.size), (20, "png", "1536x864"))

with check("no picture"):
    equal(draw("unusable").data, [])

with check("models and when they are shut down"):
    models = {model.id: model for model in client().models.list()}
    equal(models["gpt-5"].shutdown_date, "2026-12-11")
    equal((models[DRAWS].shutdown_date, models[DRAWS].object), (None, "model"))
    equal(client().models.retrieve("gpt-5-mini").shutdown_date, "2026-12-11")

with check("AuthenticationError for a wrong key"):
    error = raised(openai.AuthenticationError, lambda: chat(key="wrong"))
    equal((error.status_code, error.code), (401, "invalid_api_key"))
    assert error.request_id.startswith("req_"), error.request_id
    equal(raised(openai.AuthenticationError, lambda: draw("auth")).code, "invalid_api_key")

with check("NotFoundError for a model that is none"):
    for call in (lambda: chat(model="no-such"), lambda: draw(model="no-such"), lambda: client().models.retrieve("no-such")):
        error = raised(openai.NotFoundError, call)
        equal((error.code, error.type), ("model_not_found", "invalid_request_error"))

with check("NotFoundError for a retired model"):
    equal(raised(openai.NotFoundError, lambda: chat("retired")).code, "model_not_found")
    # The specification's default model is shut down.
    equal(raised(openai.NotFoundError, lambda: draw(model=openai.omit)).code, "model_not_found")

with check("BadRequestError for a malformed chat"):
    for changes, field, code in (
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "invalid_value"),
        ({"max_tokens": 9}, "max_tokens", "unsupported_parameter"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"extra_body": {"maximum": 1}}, "maximum", "unknown_parameter"),
    ):
        error = raised(openai.BadRequestError, lambda: chat(**changes))
        equal((error.status_code, error.param, error.code), (400, field, code))
    raised(openai.BadRequestError, lambda: chat("invalid"))

with check("BadRequestError for a malformed picture"):
    for changes, field in (
        ({"response_format": "b64_json"}, "response_format"),
        ({"size": "1000x1000"}, "size"),
        ({"model": "gpt-image-1.5", "size": "1536x864"}, "size"),
        ({"n": 11}, "n"),
        ({"quality": "best"}, "quality"),
        ({"prompt": ""}, "prompt"),
    ):
        equal(raised(openai.BadRequestError, lambda: draw(**changes)).param, field)
    raised(openai.BadRequestError, lambda: draw("invalid"))

with check("BadRequestError for what moderation blocks"):
    error = raised(openai.BadRequestError, lambda: draw("refused"))
    equal((error.code, error.type), ("moderation_blocked", "image_generation_user_error"))
    equal(error.body["moderation_details"], {"moderation_stage": "input", "categories": ["violence"]})

with check("RateLimitError for too many calls"):
    error = raised(openai.RateLimitError, lambda: chat("rate-limited"))
    equal((error.status_code, error.code, error.response.headers["retry-after"]), (429, "rate_limit_exceeded", "34"))

with check("RateLimitError for used-up credit"):
    error = raised(openai.RateLimitError, lambda: draw("quota"))
    equal((error.type, error.code), ("insufficient_quota", "credit_balance_exhausted"))

with check("InternalServerError when it is overloaded"):
    error = raised(openai.InternalServerError, lambda: chat("transient"))
    equal((error.status_code, error.code), (503, "server_is_overloaded"))

with check("APIConnectionError when the line is cut"):
    raised(openai.APIConnectionError, lambda: chat("hang-up"))

with check("APITimeoutError when nothing is said"):
    raised(openai.APITimeoutError, lambda: chat("silence", timeout=0.5))
