"use strict";
// Shows openapi.json of this broker, and sends requests to it. Text is only ever set as text: nothing in the document,
// and nothing that a service answers, becomes markup.

const METHODS = ["get", "put", "post", "patch", "delete"];
let api;

function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// `code` in descriptions; the rest as it stands.
function prose(text) {
  const parts = (text || "").replaceAll("``", "`").split("`");
  return parts.map((part, index) => (index % 2 ? node("code", {}, part) : part));
}

function resolved(schema) {
  return schema && schema.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema || {};
}

function kindOf(schema) {
  if (!schema) return "any bytes";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(kindOf).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return schema.items ? `list of ${kindOf(schema.items)}` : "list";
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const bounds = low !== undefined || schema.maximum !== undefined ? ` ${low ?? ""}…${schema.maximum ?? ""}` : "";
  return (schema.contentEncoding || schema.type || "anything") + bounds;
}

// A sketch of a value that the schema allows, to be edited.
function sketch(schema, depth = 0) {
  const here = resolved(schema);
  if (here.default !== undefined && !(here.default && typeof here.default === "object")) return here.default;
  if (here.enum) return here.enum[0];
  if (here.anyOf) return sketch(here.anyOf[0], depth);
  if (here.type === "array") return here.items && depth < 3 ? [sketch(here.items, depth + 1)] : [];
  if (here.type === "object" || here.properties) {
    const fields = Object.entries(here.properties || {});
    const wanted = fields.filter(([name]) => (here.required || []).includes(name));
    return Object.fromEntries(wanted.map(([name, kind]) => [name, sketch(kind, depth + 1)]));
  }
  return { integer: 1, number: 1, boolean: false, string: "" }[here.type] ?? null;
}

function fieldRow(name, schema, required, description, input) {
  const default_ = schema && schema.default;
  const kind = kindOf(schema) + (default_ !== undefined && default_ !== "" ? `, default ${JSON.stringify(default_)}` : "");
  return node("tr", {},
    node("td", { class: "name" }, node("code", {}, name), required ? node("span", { class: "required" }, " *") : ""),
    input ? node("td", {}, input) : null,
    node("td", {}, node("span", { class: "kind" }, kind), " ", ...prose(description)));
}

// The fields of a schema; those of its parts below it, each once.
function fieldTables(schema, seen = new Set()) {
  const name = schema && schema.$ref && schema.$ref.split("/").pop();
  const here = resolved(schema);
  if (!here.properties || seen.has(name)) return [];
  seen.add(name);
  const rows = Object.entries(here.properties).map(([field, kind]) =>
    fieldRow(field, kind, (here.required || []).includes(field), kind.description));
  const below = JSON.stringify(here.properties).match(/#\/components\/schemas\/\w+/g) || [];
  return [node("p", {}, node("code", {}, name), " ", ...prose(here.description)), node("table", {}, ...rows),
    ...below.flatMap(($ref) => fieldTables({ $ref }, seen))];
}

function folded(title, ...children) {
  return node("details", {}, node("summary", {}, title), ...children);
}

function responses(operation) {
  return Object.entries(operation.responses).map(([status, response]) => {
    const contents = Object.entries(response.content || {});
    const kinds = contents.map(([type, content]) => `${type}${content.schema ? `: ${kindOf(content.schema)}` : ""}`);
    return node("tr", {}, node("td", { class: "name" }, node("code", {}, status)),
      node("td", {}, ...prose(response.description), " ", node("span", { class: "kind" }, status < 400 ? kinds.join("; ") : "")));
  });
}

function credentials() {
  const user = document.getElementById("user").value;
  if (!user) return {};
  const bytes = new TextEncoder().encode(`${user}:${document.getElementById("password").value}`);
  return { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

function address(path, inputs) {
  const query = new URLSearchParams();
  let filled = path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") filled = filled.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query" && input.value !== "") query.append(parameter.name, input.value);
  }
  return filled + (query.size ? `?${query}` : "");
}

async function send(method, path, inputs, body, type, output) {
  const url = address(path, inputs);
  const headers = credentials();
  if (body && body.value !== "") headers["content-type"] = type.value || "application/octet-stream";
  output.hidden = false;
  output.textContent = `${method.toUpperCase()} ${url}\n…`;
  try {
    const options = { method: method.toUpperCase(), headers, credentials: "omit" };
    if (body && body.value !== "") options.body = body.value;
    const response = await fetch(url, options);
    output.textContent = `${method.toUpperCase()} ${url}\n${response.status} ${response.statusText}\n\n`;
    await show(response, output);
  } catch (error) {
    output.textContent += `\n${error}`;
  }
}

// As it comes, so that an event stream can be watched; JSON is indented at the end.
async function show(response, output) {
  const head = output.textContent;
  const decoder = new TextDecoder();
  let text = "";
  if (response.body) {
    for (let reader = response.body.getReader(), step; !(step = await reader.read()).done;) {
      text = (text + decoder.decode(step.value, { stream: true })).slice(-200000);
      output.textContent = head + text;
    }
  }
  try { output.textContent = head + JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON: as it came */ }
}

function form(method, path, operation) {
  const inputs = (operation.parameters || []).filter((parameter) => parameter.in !== "header")
    .map((parameter) => ({ parameter, input: node("input", { "aria-label": parameter.name }) }));
  const contents = Object.entries((operation.requestBody || {}).content || {});
  const body = contents.length ? node("textarea", { rows: "5", "aria-label": "body", spellcheck: false }) : null;
  const type = node("input", { "aria-label": "content type", value: "" });
  const output = node("pre", { hidden: true });
  if (body) {
    const [first, content] = contents[0];
    type.value = first === "*/*" ? "text/plain" : first;
    if (content.schema) body.value = JSON.stringify(sketch(content.schema), null, 2);
  }
  const button = node("button", { type: "button" }, "Send");
  button.addEventListener("click", () => send(method, path, inputs, body, type, output));
  const rows = inputs.map(({ parameter, input }) =>
    fieldRow(parameter.name, parameter.schema, parameter.required, parameter.description, input));
  const headers = (operation.parameters || []).filter((parameter) => parameter.in === "header")
    .map((parameter) => fieldRow(parameter.name, parameter.schema, false, parameter.description));
  return [
    rows.length ? node("h3", {}, "Parameters") : null, node("table", {}, ...rows),
    headers.length ? folded("Headers", node("table", {}, ...headers)) : null,
    body ? node("h3", {}, "Body") : null,
    body ? node("label", {}, "Content type ", type) : null, body,
    ...contents.filter(([, content]) => content.schema).map(([name, content]) =>
      folded(`${name}: ${kindOf(content.schema)}`, ...fieldTables(content.schema))),
    node("p", {}, button), output,
  ].filter((part) => part !== null);
}

function answers(operation) {
  const schemas = Object.entries(operation.responses).filter(([status]) => status < 400)
    .flatMap(([, response]) => Object.values(response.content || {})).map((content) => content.schema).filter(Boolean);
  return [node("h3", {}, "Responses"), node("table", {}, ...responses(operation)),
    ...schemas.map((schema) => folded(kindOf(schema), ...fieldTables(schema)))];
}

function operationBox(method, path, operation) {
  const box = node("details", { class: "operation", id: operation.operationId },
    node("summary", {}, node("span", { class: `method ${method}` }, method.toUpperCase()),
      node("span", { class: "path" }, path), node("span", { class: "summary" }, operation.summary)));
  box.dataset.words = `${method} ${path} ${JSON.stringify(operation)}`.toLowerCase();
  // Made when it is looked at: the whole document at once would be long.
  box.addEventListener("toggle", () => {
    if (box.children.length > 1) return;
    box.append(node("div", {}, node("p", {}, ...prose(operation.description || operation.summary)),
      ...form(method, path, operation), ...answers(operation)));
  });
  return box;
}

function section(tag) {
  const boxes = Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter((method) => item[method])
    .map((method) => ({ method, path, operation: item[method] })))
    .filter(({ operation }) => operation.tags.includes(tag.name))
    .sort((one, other) => (one.path < other.path ? -1 : one.path > other.path ? 1 : 0))
    .map(({ method, path, operation }) => operationBox(method, path, operation));
  return node("section", { id: tag.name }, node("h2", {}, tag.name, " ", node("small", {}, tag.description)), ...boxes);
}

function search(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const part of document.querySelectorAll("main section")) {
    const boxes = [...part.querySelectorAll("details.operation")];
    for (const box of boxes) box.hidden = !wanted.every((word) => box.dataset.words.includes(word));
    part.hidden = boxes.every((box) => box.hidden);
  }
}

function openLinked() {
  const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (linked && linked.tagName === "DETAILS") { linked.open = true; linked.scrollIntoView(); }
}

async function start() {
  api = await (await fetch("/openapi.json")).json();
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("about").append(...prose(api.info.description));
  document.getElementById("operations").append(...api.tags.map(section));
  document.getElementById("contents").append(...api.tags.map((tag) => node("a", { href: `#${tag.name}` }, tag.name)));
  document.getElementById("search").addEventListener("input", (event) => search(event.target.value));
  document.getElementById("login").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", openLinked);
  openLinked();
}

start();
