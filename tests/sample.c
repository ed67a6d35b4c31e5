/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */

/* sample.c -- the example of the users' specification; from the first #include on it is their text, unchanged.
 * sample.sh compiles and runs it. */
#include <windows.h>
#include <stdio.h>
int main() {
HANDLE hHeap = NULL;
// Create a heap with initial size 1MB and no maximum size limit
hHeap = HeapCreate(0, 1024 * 1024, 0); // 1MB initial, unbounded max
if (hHeap != NULL) {
printf("Heap created successfully. Handle: %p\n", hHeap);
// Example: Allocate memory from the heap
LPVOID pData = HeapAlloc(hHeap, 0, 100); // Allocate 100 bytes
if (pData != NULL) {
printf("Memory allocated successfully: %p\n", pData);
// ... use the allocated memory ...
HeapFree(hHeap, 0, pData); // Free the allocated memory
printf("Memory freed.\n");
} else {
fprintf(stderr, "HeapAlloc failed with error: %lu\n", GetLastError());
}
// Destroy the heap when done
if (HeapDestroy(hHeap)) {
printf("Heap destroyed successfully.\n");
} else {
fprintf(stderr, "HeapDestroy failed with error: %lu\n", GetLastError());
}
} else {
fprintf(stderr, "HeapCreate failed with error: %lu\n", GetLastError());
}
return 0;
}
