"""Google's current SDK against the fake: words, pictures, interactions, models, and Veo on Vertex AI."""

import base64
import functools

from google import genai
from google.genai import _interactions as interactions
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from checks import KEY, PROMPT, address, check, equal, file_of, is_mp4, png_size, raised

DRAWS = "gemini-3.1-flash-image"
WRITES = "gemini-3.1-flash"
FILMS = "gemini-omni-1.1-flash"
VEO = "veo-3.1-generate-001"


def options(account, version):
    once = types.HttpRetryOptions(attempts=1)
    return types.HttpOptions(base_url=address(account), api_version=version, timeout=20_000, retry_options=once)


# A client that nobody holds closes its connections.
@functools.cache
def client(account="works", key=KEY):
    return genai.Client(api_key=key, http_options=options(account, "v1beta"))


@functools.cache
def vertex(account="works", token=KEY):
    return genai.Client(
        vertexai=True,
        project="our-project",
        location="us-central1",
        credentials=Credentials(token=token),
        http_options=options(account, "v1"),
    )


def content(account="works", key=KEY, model=DRAWS, contents=PROMPT, **config):
    config = types.GenerateContentConfig(**config)
    return client(account, key).models.generate_content(model=model, contents=contents, config=config)


def create(account="works", key=KEY, **changes):
    wish = {
        "model": FILMS,
        "input": PROMPT,
        "background": True,
        "response_format": {"type": "video", "delivery": "uri", "aspect_ratio": "9:16", "duration": "6s"},
        **changes,
    }
    return client(account, key).interactions.create(**wish)


def ended(account, interaction):
    """Polls until it is at its end; how often that was."""
    for polls in range(1, 10):
        interaction = client(account).interactions.get(interaction.id)
        if interaction.status not in ("queued", "in_progress"):
            return interaction, polls
    raise AssertionError("it does not come to an end")


with check("picture"):
    image = types.ImageConfig(aspect_ratio="16:9", image_size="2K")
    answer = content(response_modalities=["IMAGE"], image_config=image)
    candidate = answer.candidates[0]
    equal(candidate.finish_reason, types.FinishReason.STOP)
    equal([part.inline_data.mime_type for part in candidate.content.parts], ["image/png"])
    equal(png_size(candidate.content.parts[0].inline_data.data), (2752, 1536))
    usage = answer.usage_metadata
    equal((usage.prompt_token_count, usage.candidates_token_count, usage.total_token_count), (12, 1120, 1132))
    equal(usage.candidates_tokens_details[0].modality, types.MediaModality.IMAGE)
    equal(answer.model_version, DRAWS)
    assert answer.response_id.startswith("resp"), answer.response_id

with check("words and a picture"):
    parts = content().candidates[0].content.parts
    assert PROMPT in parts[0].text, parts[0]
    equal(png_size(parts[1].as_image().image_bytes), (1024, 1024))

with check("text"):
    answer = content(model=WRITES, system_instruction="Be brief", max_output_tokens=100, temperature=0.5)
    assert PROMPT in answer.text, answer
    equal(answer.usage_metadata.candidates_token_count, 34)

with check("blocked prompt"):
    answer = content("refused")
    equal((answer.prompt_feedback.block_reason, answer.candidates), (types.BlockedReason.PROHIBITED_CONTENT, None))

with check("no picture"):
    candidate = content("unusable", response_modalities=["IMAGE"]).candidates[0]
    equal((candidate.finish_reason, candidate.content.parts), (types.FinishReason.NO_IMAGE, []))

with check("models, page by page"):
    models = list(client().models.list(config={"page_size": 3}))
    equal(len(models), 4)
    by_name = {model.name: model for model in models}
    equal(by_name[f"models/{DRAWS}"].supported_actions, ["generateContent", "countTokens"])
    equal(client().models.get(model=DRAWS).display_name, "Gemini 3.1 Flash Image")

with check("ClientError for a wrong key"):
    for call in (lambda: content(key="wrong"), lambda: content("auth")):
        error = raised(errors.ClientError, call)
        equal((error.code, error.status), (400, "INVALID_ARGUMENT"))
        equal(error.details["error"]["details"][0]["reason"], "API_KEY_INVALID")

with check("ClientError for what is malformed"):
    for call in (
        lambda: content(image_config=types.ImageConfig(aspect_ratio="7:1")),
        lambda: content(image_config=types.ImageConfig(image_size="2k")),
        lambda: content(contents=[types.Content(role="nobody", parts=[types.Part(text="x")])]),
        lambda: content("invalid"),
    ):
        error = raised(errors.ClientError, call)
        equal((error.code, error.status), (400, "INVALID_ARGUMENT"))

with check("ClientError for a model that is gone"):
    for call in (lambda: content("retired"), lambda: content(model="no-such")):
        error = raised(errors.ClientError, call)
        equal((error.code, error.status), (404, "NOT_FOUND"))

with check("ClientError for too many calls and for the day's quota"):
    for account, quota in (("rate-limited", "PerMinute"), ("quota", "PerDay")):
        error = raised(errors.ClientError, lambda: content(account))
        equal((error.code, error.status), (429, "RESOURCE_EXHAUSTED"))
        assert quota in error.details["error"]["details"][0]["violations"][0]["quotaId"], error

with check("ServerError when it is overloaded"):
    error = raised(errors.ServerError, lambda: content("transient"))
    equal((error.code, error.status), (503, "UNAVAILABLE"))

with check("interaction: submit, poll, download"):
    submitted = create()
    equal((submitted.status, submitted.model, submitted.steps), ("in_progress", FILMS, None))
    interaction, polls = ended("works", submitted)
    equal((polls, interaction.id, interaction.status), (2, submitted.id, "completed"))
    equal([step.type for step in interaction.steps], ["user_input", "model_output"])
    film = interaction.steps[1].content[0]
    equal((film.type, film.mime_type, film.data), ("video", "video/mp4", None))
    equal(interaction.usage.total_output_tokens, 5760)
    equal(interaction.usage.output_tokens_by_modality[0].modality, "video")
    is_mp4(client().files.download(file=file_of(film.uri)))

with check("interaction: inline"):
    form = {"type": "video", "delivery": "inline", "resolution": "360p"}
    interaction = create(background=False, response_format=form)
    equal(interaction.status, "completed")
    file = interaction.output_video.data
    is_mp4(base64.b64decode(file, validate=True) if isinstance(file, str) else file)

with check("interaction: cancel"):
    equal(client().interactions.cancel(create().id).status, "cancelled")

with check("interaction: declined in words"):
    interaction, _ = ended("refused", create("refused"))
    equal((interaction.status, [part.type for part in interaction.steps[1].content]), ("completed", ["text"]))
    assert "can't make that video" in interaction.output_text, interaction

with check("interaction: failed"):
    interaction, _ = ended("render-fails", create("render-fails"))
    equal((interaction.status, interaction.steps), ("failed", None))
    equal([fault.code for fault in interaction.errors], ["service_unavailable"])

with check("interaction: BadRequestError for what is malformed"):
    for changes, words in (
        ({"response_format": {"type": "video", "aspect_ratio": "1:7"}}, "'1:7' is not supported for 'response_format.aspect_ratio'"),
        ({"response_format": {"type": "video", "duration": "11s"}}, "response_format.duration"),
        ({"input": ""}, "'input' must not be empty"),
        ({"extra_body": {"maximum": 1}}, "Unknown parameter 'maximum'"),
    ):
        error = raised(interactions.BadRequestError, lambda: create(**changes))
        assert words in str(error), error
        equal(error.body["error"]["code"], "invalid_request")
    raised(interactions.BadRequestError, lambda: create("invalid"))

with check("interaction: BadRequestError for one nobody made"):
    error = raised(interactions.BadRequestError, lambda: client().interactions.get("v1_nobodys"))
    assert "Invalid interaction name" in str(error), error

with check("interaction: typed errors of an account"):
    for account, kind, code in (
        ("retired", interactions.NotFoundError, "not_found"),
        ("rate-limited", interactions.RateLimitError, "rate_limit_exceeded"),
        ("quota", interactions.RateLimitError, "quota_exceeded"),
        ("auth", interactions.PermissionDeniedError, "permission_denied"),
        ("transient", interactions.InternalServerError, "service_unavailable"),
    ):
        equal(raised(kind, lambda: create(account)).body["error"]["code"], code)
    raised(interactions.BadRequestError, lambda: create(key="wrong"))

with check("Vertex AI: submit, poll, inline film"):
    source = types.GenerateVideosSource(prompt=PROMPT)
    config = types.GenerateVideosConfig(number_of_videos=1, duration_seconds=4, generate_audio=True)
    operation = vertex().models.generate_videos(model=VEO, source=source, config=config)
    place = f"projects/our-project/locations/us-central1/publishers/google/models/{VEO}"
    assert operation.name.startswith(f"{place}/operations/"), operation
    polls = 0
    while not operation.done:
        polls += 1
        assert polls < 10, "it does not come to an end"
        operation = vertex().operations.get(operation)
    equal((polls, operation.error), (2, None))
    film = operation.response.generated_videos[0].video
    equal((film.uri, film.mime_type), (None, "video/mp4"))
    is_mp4(film.video_bytes)

with check("Vertex AI: filtered"):
    operation = vertex("refused").models.generate_videos(model=VEO, source=source)
    while not operation.done:
        operation = vertex("refused").operations.get(operation)
    equal((operation.response.generated_videos, operation.response.rai_media_filtered_count), (None, 1))

with check("Vertex AI: picture"):
    answer = vertex().models.generate_content(model=DRAWS, contents=PROMPT)
    equal(png_size(answer.candidates[0].content.parts[1].inline_data.data), (1024, 1024))

with check("Vertex AI: ClientError for a wrong token"):
    call = lambda: vertex(token="wrong").models.generate_content(model=DRAWS, contents=PROMPT)
    error = raised(errors.ClientError, call)
    equal((error.code, error.status), (401, "UNAUTHENTICATED"))

with check("Vertex AI: ClientError for a model that is gone"):
    call = lambda: vertex("retired").models.generate_videos(model=VEO, source=source)
    error = raised(errors.ClientError, call)
    equal((error.code, error.status), (404, "NOT_FOUND"))
    assert "Publisher Model" in error.message, error
