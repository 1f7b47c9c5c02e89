// The module that a process begins with; `AUTHOR` stands for the author's own, which comes second.
import { look, serve } from "./runtime.js";
import * as author from "AUTHOR";

export default serve(author);
export const seen = look(author);
