import { mount } from 'svelte'
import Own from './Own.svelte'
import './app.css'

export default mount(Own, { target: document.getElementById('app')! })
