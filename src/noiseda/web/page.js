// Files that are pasted go where files are dropped: into the box of the tab that is open.
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  const inputs = [...document.querySelectorAll("#restore-photographs input[type=file], #adapt-photographs input[type=file]")];
  const input = inputs.find((one) => one.closest("#restore-photographs, #adapt-photographs").getClientRects().length);
  if (!files.length || !input) return;
  event.preventDefault();
  const taken = new DataTransfer();
  files.forEach((file) => taken.items.add(file));
  input.files = taken.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
