"""The plugins that come with mombroker. They import what any plugin may: mombroker.model and mombroker.hooks."""
