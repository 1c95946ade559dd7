// A link that is pasted while this page is open changes the fragment and loads nothing.
function logIn() {
  const secret = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  if (secret) {
    document.forms[0].elements.secret.value = secret;
    document.forms[0].submit();
  }
}
addEventListener("hashchange", logIn);
logIn();
