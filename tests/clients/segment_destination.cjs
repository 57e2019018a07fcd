// Segment's destination for Emarsys tests its credentials and lists the fields, as it does when somebody sets it up.
const { Destination } = require("@segment/actions-core");
const { default: emarsys } = require("@segment/action-destinations/dist/destinations/emarsys");

const settings = { api_user: process.env.EMARSYS_USERNAME, api_password: process.env.EMARSYS_SECRET };

async function main() {
  const destination = new Destination(emarsys);
  await destination.testAuthentication(settings);
  const { choices } = await destination.executeDynamicField("upsertContact", "key_field", { settings, payload: {} });
  console.log(JSON.stringify(choices));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
