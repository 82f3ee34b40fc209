// The WebSocket client of seed 000, word for word: put the address of your server and its id in.
const ws = new WebSocket('wss://your-wings-instance/api/servers/{server}/ws');

ws.addEventListener('message', (event) => {
    const data = JSON.parse(event.data);
    
    if (data.event === 'backup progress') {
        const progress = data.args[0];
        
        switch (progress.type) {
            case 'create':
                handleBackupProgress(progress);
                break;
            case 'restore':
                handleRestoreProgress(progress);
                break;
        }
    }
});

function handleBackupProgress(progress) {
    if (progress.percentage === -1) {
        console.error('Backup failed!');
        return;
    }
    
    if (progress.percentage === 100) {
        console.log('Backup completed successfully!');
        return;
    }
    
    const percent = progress.percentage;
    const mb_written = Math.round(progress.bytes_written / 1024 / 1024);
    const mb_total = Math.round(progress.bytes_total / 1024 / 1024);
    
    console.log(`Backup progress: ${percent}% (${mb_written}MB / ${mb_total}MB)`);
    
    // Update UI progress bar
    document.getElementById('progress-bar').style.width = `${percent}%`;
    document.getElementById('progress-text').textContent = 
        `${percent}% - ${mb_written}MB of ${mb_total}MB`;
}

function handleRestoreProgress(progress) {
    if (progress.percentage === -1) {
        console.error('Restore failed!');
        return;
    }
    
    if (progress.percentage === 100) {
        console.log('Restore completed successfully!');
        return;
    }
    
    const files_processed = progress.bytes_written;
    console.log(`Restore progress: ${files_processed} files processed`);
    
    // Update UI with file count
    document.getElementById('restore-status').textContent = 
        `Processing... ${files_processed} files restored`;
}
