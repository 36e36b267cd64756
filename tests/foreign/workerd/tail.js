// The tail worker that somebody deploys to have their workers' invocations in Watershed: the items go on as they come.
export default {
  async tail(items, env) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(env.ENDPOINT, { method: "POST", headers, body: JSON.stringify(items) });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  },
};
