# The page of scripts/app.py as an image; a Hugging Face Space with docs/space/README.md as its README.md.
# docker build -t wav2face . && docker run --rm -p 7860:7860 wav2face
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 visitor
WORKDIR /home/visitor/wav2face
# Builds of torch without CUDA are several GB smaller: --build-arg TORCH_OPTIONS='--index-url <the one that torch names>'.
ARG TORCH_OPTIONS=
RUN pip install --no-cache-dir ${TORCH_OPTIONS} 'torch ~= 2.11.0' 'torchvision ~= 0.26.0' 'torchaudio ~= 2.11.0'
COPY . .
RUN pip install --no-cache-dir --editable '.[demo,personas]'

USER visitor
ENV HOME=/home/visitor PYTHONDONTWRITEBYTECODE=1
EXPOSE 7860
# MODEL: folder or hub id; without it the model of personas that ships.
CMD ["sh", "-c", "exec python scripts/app.py --host 0.0.0.0 --port 7860 ${MODEL:+--model \"$MODEL\"}"]
